using Shinano.Control.Api.Domains;
using Shinano.Cpu;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Saving;
using Shinano.Linux;
using Shinano.Memory;
using Shinano.SavedState;

namespace Shinano.Machine.Saving;

/// <summary>Makes a machine of a saved domain. The file is hostile: what it says goes through the checks that a guest's hypercalls go through.</summary>
internal static class MachineRestorer
{
    /// <summary>Assembles the machine, paused, its rings bound; nothing is left behind after a failure.</summary>
    /// <exception cref="DomainFailureException">The file, or this host, does not do.</exception>
    public static async Task<PvMachine> RestoreAsync(string path, MachineSettings settings, Action<string, string> progress)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
            return await RestoreAsync(new SectionReader(file), settings, LoadPages, progress).ConfigureAwait(false);
        }
        catch (SavedStateException e)
        {
            throw SavedFailure.Of(e, path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The same of sections that come from elsewhere.</summary>
    /// <param name="load">Gives the machine, which has its frames, their content: the rest of the sections. Its answer is the pages it brought.</param>
    /// <exception cref="SavedStateException">The sections make no sense.</exception>
    internal static async Task<PvMachine> RestoreAsync(
        SectionReader sections, MachineSettings settings, Func<SectionReader, PvMachine, long> load, Action<string, string> progress)
    {
        Demand(sections, SectionKind.Description);
        StateReader reader = new(Demand(sections, SectionKind.Machine));
        MachineHead head = MachineHead.Read(reader);
        RingSection rings = RingSection.Read(new StateReader(Demand(sections, SectionKind.Rings)));
        CheckHost(head, settings);
        PvMachine machine = PvMachine.Create(settings, head.Features, progress);
        try
        {
            CheckVendor(head, machine);
            ulong tscOffset = unchecked(head.GuestTsc - TimeStampCounter.Read());
            machine.Connect(tscOffset, head.SystemTime);
            DomainState state = new(machine.Parts);
            state.LoadFrames(reader);
            long pages = load(sections, machine);
            progress("pages", $"{pages >> 8} MiB of {(long)machine.Parts.Mmu.Space.TotalPages >> 8} MiB");
            state.LoadRest(reader, tscOffset);
            machine.ConsoleHistory = rings.ConsoleHistory;
            machine.TakeUpRings(head, rings);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static long LoadPages(SectionReader sections, PvMachine machine)
    {
        MachineSpace space = machine.Parts.Mmu.Space;
        long bytes = 0;
        SectionKind kind;
        while ((kind = sections.Read(out byte[] payload)) == SectionKind.Pages)
        {
            PageSections.Load(payload, space.Memory, space.IsGuests);
            bytes += payload.Length;
        }

        return kind == SectionKind.End
            ? bytes >> GuestMemory.PageShift
            : throw new SavedStateException(SavedStateError.Damaged, $"a section {kind} is where the guest's pages should be");
    }

    private static byte[] Demand(SectionReader sections, SectionKind kind) => sections.Read(out byte[] payload) is var found && found == kind
        ? payload
        : throw new SavedStateException(SavedStateError.Damaged, $"a section {found} is where {kind} should be");

    private static void CheckHost(MachineHead head, MachineSettings settings)
    {
        StateReader.Demand(
            head.BuiltPages == (ulong)settings.MaxMemoryBytes >> GuestMemory.PageShift && head.Vcpus == settings.MaxVcpus,
            $"the machine has {head.Vcpus} vCPUs and at most {head.BuiltPages >> 8} MiB, its configuration "
            + $"{settings.MaxVcpus} and {settings.MaxMemoryBytes >> 20} MiB");
        CpuFeatures missing = head.Features & ~EngineChoice.FeaturesOf(settings.CpuEngine);
        if (missing != CpuFeatures.None)
        {
            throw new DomainFailureException(
                DomainFailureCode.NotSupported, $"the domain was promised {missing}, which this host's CPU or cpu_engine does not have");
        }
    }

    private static void CheckVendor(MachineHead head, PvMachine machine)
    {
        if (head.Vendor != machine.Cpuid.VendorName)
        {
            throw new DomainFailureException(
                DomainFailureCode.NotSupported, $"the domain was saved on a CPU of {head.Vendor}, this host has one of {machine.Cpuid.VendorName}");
        }
    }
}
