using Shinano.Control.Api.Domains;
using Shinano.Devices.Paravirtual.Console;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Saving;
using Shinano.Linux;
using Shinano.SavedState;

namespace Shinano.Machine.Saving;

/// <summary>Writes a suspended machine as a saved domain.</summary>
internal static class MachineSaver
{
    /// <summary>Writes the file, whole or not at all. The machine is suspended and left as it is.</summary>
    /// <param name="description">xend's section.</param>
    /// <param name="cancellation">Ends the writing; no file is left.</param>
    /// <exception cref="DomainFailureException">The file cannot be written, or the domain cannot be saved as it is.</exception>
    public static SaveResult Save(PvMachine machine, string path, ReadOnlySpan<byte> description, CancellationToken cancellation)
    {
        try
        {
            using WholeFile file = WholeFile.Create(path);
            long pages = Write(machine, file.Stream, description, cancellation);
            long length = file.Stream.Length;
            cancellation.ThrowIfCancellationRequested();
            file.Publish();
            return new SaveResult(path, length, pages);
        }
        catch (SavedStateException e)
        {
            throw new DomainFailureException(DomainFailureCode.NotSupported, $"the domain cannot be saved: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
        {
            // The last is .NET's word for EFBIG.
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{path}: cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Writes all sections of a suspended machine.</summary>
    /// <returns>Pages of memory written.</returns>
    /// <exception cref="SavedStateException">The domain cannot be saved as it is.</exception>
    public static long Write(PvMachine machine, Stream output, ReadOnlySpan<byte> description, CancellationToken cancellation)
    {
        // The state first: a domain that cannot be saved is found out before its memory is written.
        SectionWriter sections = new(output);
        WriteState(machine, sections, description);
        MachineSpace space = machine.Parts.Mmu.Space;
        long pages = PageSections.Write(sections, space.Memory, space.IsGuests, cancellation);
        sections.End();
        return pages;
    }

    /// <summary>Writes the sections of a suspended machine but for its memory.</summary>
    /// <exception cref="SavedStateException">The domain cannot be saved as it is.</exception>
    internal static void WriteState(PvMachine machine, SectionWriter sections, ReadOnlySpan<byte> description)
    {
        StateWriter state = new();
        HeadOf(machine).Write(state);
        DomainState domain = new(machine.Parts);
        domain.Save(state);
        StateWriter rings = new();
        RingsOf(machine).Write(rings);
        sections.Write(SectionKind.Description, description);
        sections.Write(SectionKind.Machine, state.Written.Span);
        sections.Write(SectionKind.Rings, rings.Written.Span);
        foreach (StateWriter frames in domain.SaveFrames())
        {
            sections.Write(SectionKind.Frames, frames.Written.Span);
        }
    }

    /// <summary>What is under way on the rings of a suspended machine.</summary>
    internal static RingSection RingsOf(PvMachine machine) => new(machine.StoreState, machine.Devices?.DescribeKept() ?? [], HistoryOf(machine.Backlog));

    /// <summary>What a machine must be to go on with this one, and its clocks now.</summary>
    internal static MachineHead HeadOf(PvMachine machine) => new()
    {
        BuiltPages = machine.Parts.Mmu.Space.BuiltMaximum,
        Vcpus = machine.Domain.Vcpus.Count,
        Features = machine.Features,
        Vendor = machine.Cpuid.VendorName,
        GuestTsc = machine.GuestTsc,
        SystemTime = machine.Parts.Clock.Now,
        ConsoleFrame = machine.Result.ConsoleRingFrame,
        ConsolePort = machine.Result.ConsoleEventPort,
        StoreFrame = machine.Result.StoreRingFrame,
        StorePort = machine.Result.StoreEventPort,
    };

    private static byte[] HistoryOf(ConsoleBacklog? backlog)
    {
        if (backlog is null)
        {
            return [];
        }

        using MemoryStream history = new();
        byte[] buffer = new byte[1 << 16];
        long place = 0;
        int count;
        while ((count = backlog.Read(ref place, buffer)) > 0)
        {
            history.Write(buffer, 0, count);
        }

        return history.ToArray();
    }
}
