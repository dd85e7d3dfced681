using Shinano.Control.Api.Domains;
using Shinano.Devices.Paravirtual.Console;
using Shinano.Hypervisor.Mmu;
using Shinano.Hypervisor.Saving;
using Shinano.SavedState;

namespace Shinano.Machine.Saving;

/// <summary>Writes a suspended machine as a saved domain.</summary>
internal static class MachineSaver
{
    /// <summary>Writes the file, whole or not at all. The machine is suspended and left as it is.</summary>
    /// <param name="description">xend's section.</param>
    /// <exception cref="DomainFailureException">The file cannot be written, or the domain cannot be saved as it is.</exception>
    public static SaveResult Save(PvMachine machine, string path, ReadOnlySpan<byte> description)
    {
        string partial = path + ".partial";
        bool created = false;
        try
        {
            long pages;
            long length;
            using (FileStream output = new(partial, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                BufferSize = 0,
            }))
            {
                created = true;
                pages = Write(machine, output, description);
                length = output.Length;
                output.Flush(flushToDisk: true);
            }

            File.Move(partial, path, overwrite: true);
            created = false;
            return new SaveResult(path, length, pages);
        }
        catch (SavedStateException e)
        {
            throw new DomainFailureException(DomainFailureCode.NotSupported, $"the domain cannot be saved: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{path}: cannot be written: {e.Message}", e);
        }
        finally
        {
            if (created)
            {
                File.Delete(partial);
            }
        }
    }

    private static long Write(PvMachine machine, Stream output, ReadOnlySpan<byte> description)
    {
        // The state first: a domain that cannot be saved is found out before its memory is written.
        SectionWriter sections = new(output);
        WriteState(machine, sections, description);
        MachineSpace space = machine.Parts.Mmu.Space;
        long pages = PageSections.Write(sections, space.Memory, space.IsGuests);
        sections.End();
        return pages;
    }

    /// <summary>Writes the sections of a suspended machine but for its memory.</summary>
    /// <exception cref="SavedStateException">The domain cannot be saved as it is.</exception>
    internal static void WriteState(PvMachine machine, SectionWriter sections, ReadOnlySpan<byte> description)
    {
        StateWriter state = new();
        HeadOf(machine).Write(state);
        new DomainState(machine.Parts).Save(state);
        StateWriter rings = new();
        new RingSection(machine.StoreState, machine.Devices?.DescribeKept() ?? [], HistoryOf(machine.Backlog)).Write(rings);
        sections.Write(SectionKind.Description, description);
        sections.Write(SectionKind.Machine, state.Written.Span);
        sections.Write(SectionKind.Rings, rings.Written.Span);
    }

    private static MachineHead HeadOf(PvMachine machine) => new()
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
