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
            return await RestoreAsync(new SectionReader(file), settings, _ => { }, progress).ConfigureAwait(false);
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
    /// <param name="framesLoaded">Called once the machine has its frames, before the sections of pages.</param>
    /// <exception cref="SavedStateException">The sections make no sense.</exception>
    internal static async Task<PvMachine> RestoreAsync(
        SectionReader sections, MachineSettings settings, Action<PvMachine> framesLoaded, Action<string, string> progress)
    {
        Demand(sections, SectionKind.Description);
        StateReader reader = new(Demand(sections, SectionKind.Machine));
        MachineHead head = MachineHead.Read(reader);
        RingSection rings = RingSection.Read(new StateReader(Demand(sections, SectionKind.Rings)));
        PvMachine machine = Create(head, settings, progress);
        try
        {
            Load(machine, head, sections, reader, rings, TimeSpan.Zero, () => framesLoaded(machine), progress);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>A machine for a domain, if this host has what the domain was promised.</summary>
    /// <exception cref="DomainFailureException">It has not.</exception>
    /// <exception cref="SavedStateException">The configuration is another domain's.</exception>
    internal static PvMachine Create(MachineHead head, MachineSettings settings, Action<string, string> progress)
    {
        CheckHost(head, settings);
        PvMachine machine = PvMachine.Create(settings, head.Features, progress);
        if (head.Vendor == machine.Cpuid.VendorName)
        {
            return machine;
        }

        machine.DisposeAsync().AsTask().GetAwaiter().GetResult();
        throw new DomainFailureException(
            DomainFailureCode.NotSupported, $"the domain was saved on a CPU of {head.Vendor}, this host has one of {machine.Cpuid.VendorName}");
    }

    /// <summary>Loads a domain's state, and the pages that follow, into a new machine.</summary>
    /// <param name="reader">The machine section, behind its head.</param>
    /// <param name="away">Time to be added to the guest's clocks.</param>
    /// <param name="framesLoaded">Called once the guest has its frames.</param>
    /// <exception cref="SavedStateException">It cannot be the state of such a domain.</exception>
    internal static void Load(
        PvMachine machine, MachineHead head, SectionReader sections, StateReader reader, RingSection rings, TimeSpan away, Action framesLoaded, Action<string, string> progress)
    {
        ulong ticks = (ulong)(away.TotalSeconds * TimeStampCounter.Frequency);
        ulong tscOffset = unchecked(head.GuestTsc + ticks - TimeStampCounter.Read());
        machine.Connect(tscOffset, head.SystemTime + (ulong)away.TotalNanoseconds);
        DomainState state = new(machine.Parts);
        state.LoadSpace(reader);
        long pages = LoadMemory(sections, machine, state, framesLoaded);
        progress("pages", $"{pages >> 8} MiB of {(long)machine.Parts.Mmu.Space.TotalPages >> 8} MiB");
        state.LoadRest(reader, tscOffset);
        machine.ConsoleHistory = rings.ConsoleHistory;
        machine.TakeUpRings(head, rings);
    }

    /// <summary>Frames first, then what is in them.</summary>
    /// <returns>Pages that were loaded.</returns>
    private static long LoadMemory(SectionReader sections, PvMachine machine, DomainState state, Action framesLoaded)
    {
        MachineSpace space = machine.Parts.Mmu.Space;
        SectionKind kind = sections.Read(out byte[] payload);
        for (; kind == SectionKind.Frames; kind = sections.Read(out payload))
        {
            state.LoadFrames(new StateReader(payload));
        }

        framesLoaded();
        using PagePacker packer = new();
        long pages = 0;
        for (; kind is SectionKind.Pages or SectionKind.PackedPages; kind = sections.Read(out payload))
        {
            pages += PageSections.Load(kind, payload, packer, space.Memory, space.IsGuests);
        }

        return kind == SectionKind.End
            ? pages
            : throw new SavedStateException(SavedStateError.Damaged, $"a section {kind} is where the guest's pages should be");
    }

    internal static byte[] Demand(SectionReader sections, SectionKind kind) => sections.Read(out byte[] payload) is var found && found == kind
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
}
