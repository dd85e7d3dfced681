using Shinano.SavedState;

namespace Shinano.Hypervisor.Saving;

/// <summary>
/// The hypervisor's state of a domain as a saved domain has it. Saving changes nothing in the domain but that work which was left over is done. Source of the
/// layout: docs/formats/saved-domain.md.
/// </summary>
/// <remarks>
/// Loading goes through the checks that a guest's own hypercalls go through, so that a file can do no more than a guest could: order is limits, frames, the
/// guest's memory, then everything that refers to it.
/// </remarks>
public sealed class DomainState(DomainParts parts)
{
    /// <summary>Writes the state. The domain is paused and no back end uses its memory but for the rings of console and xenstore.</summary>
    /// <exception cref="SavedStateException">The domain is in a state that cannot be saved.</exception>
    public void Save(StateWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        parts.Assists.Save(writer);
        SpaceState.Save(writer, parts.Mmu);
        parts.Grants.Save(writer);
        foreach (PvVcpu vcpu in parts.Domain.Vcpus)
        {
            VcpuState.Save(writer, vcpu);
        }

        parts.Vcpus.Save(writer);
        parts.Events.Save(writer);
        parts.Timers.Save(writer);
        parts.Scheduling.Save(writer);
        parts.PhysicalDevices.Save(writer);
    }

    /// <summary>Writes the guest's frames, in as many lists as it takes, each short enough for a section. As <see cref="Save"/>, and after it.</summary>
    public IEnumerable<StateWriter> SaveFrames() => SpaceState.SaveFrames(parts.Mmu);

    /// <summary>Gives a new domain its limits. Then come its frames (<see cref="LoadFrames"/>, any number of times), their content, and <see cref="LoadRest"/>.</summary>
    /// <exception cref="SavedStateException">It cannot be the state of such a domain.</exception>
    public void LoadSpace(StateReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);

        // First: it decides what top-level tables show when they are checked.
        parts.Assists.Load(parts.Domain, reader);
        SpaceState.LoadSpace(reader, parts.Mmu);
    }

    /// <summary>Gives a new domain the frames, empty ones, of one list.</summary>
    /// <exception cref="SavedStateException">They cannot be the guest's, or are there already.</exception>
    public void LoadFrames(StateReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        SpaceState.LoadFrames(reader, parts.Mmu);
    }

    /// <summary>Loads everything else; then back ends may bind their ports.</summary>
    /// <param name="tscOffset">To be added to this host's TSC so that the guest's goes on where it was.</param>
    /// <exception cref="SavedStateException">It cannot be the state of such a domain.</exception>
    public void LoadRest(StateReader reader, ulong tscOffset)
    {
        ArgumentNullException.ThrowIfNull(reader);
        IReadOnlyList<ulong> leaving = SpaceState.LoadPins(reader, parts.Mmu);
        HashSet<ulong> tables = [];
        parts.Grants.Load(reader, IsShared);
        foreach (PvVcpu vcpu in parts.Domain.Vcpus)
        {
            VcpuState.Load(reader, vcpu, parts.Mmu, parts.Cpuid, tscOffset);
        }

        parts.Vcpus.Load(reader);
        parts.Events.Load(reader);
        parts.Timers.Load(reader);
        parts.Scheduling.Load(reader);
        parts.PhysicalDevices.Load(reader);
        SpaceState.GiveBack(leaving, parts.Mmu);
        reader.ExpectEnd();

        // The shared info page is the first of the shared ones, and no grant table's.
        bool IsShared(ulong frame) =>
            frame > parts.Mmu.Space.FirstSharedFrame && frame < parts.Mmu.Space.NextSharedFrame && tables.Add(frame);
    }
}
