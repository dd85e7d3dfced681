using System.Diagnostics.CodeAnalysis;
using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Grants;

/// <summary>
/// A domain's grant table and the uses of its grants, by back ends of this process as domain 0 and by the domain itself. Thread-safe.
/// Source: public/grant_table.h.
/// </summary>
public sealed class GrantTable
{
    /// <summary>Uses of one grant at a time, at most.</summary>
    private const int MostUses = ushort.MaxValue;

    /// <summary>How often a guest may change an entry under the hypervisor's hands before the operation fails.</summary>
    private const int Tries = 5;

    private readonly IGuestFrames _frames;
    private readonly GrantEntries _entries;
    private readonly Dictionary<uint, ActiveGrant> _active = [];
    private readonly Lock _lock = new();

    /// <param name="domain">Whose table it is.</param>
    /// <param name="frames">Makes frames of the table and holds granted ones.</param>
    /// <param name="maximumFrames">Most frames of the table (xl's max_grant_frames).</param>
    public GrantTable(Domain domain, IGuestFrames frames, int maximumFrames = 64)
    {
        _frames = frames;
        _entries = new GrantEntries(domain.Memory, frames, maximumFrames);
        Memory = domain.Memory;
        MaximumFrames = maximumFrames;
    }

    /// <summary>Most frames of the table.</summary>
    public int MaximumFrames { get; }

    /// <summary>Version of the entries, 1 or 2: the guest's choice.</summary>
    public int Version
    {
        get
        {
            lock (_lock)
            {
                return _entries.Version;
            }
        }
    }

    /// <summary>The frames so far; the builder asks for the first.</summary>
    public IReadOnlyList<Mfn> Frames
    {
        get
        {
            lock (_lock)
            {
                return [.. _entries.Frames];
            }
        }
    }

    /// <summary>Frames of status words (version 2).</summary>
    public IReadOnlyList<Mfn> StatusFrames
    {
        get
        {
            lock (_lock)
            {
                return [.. _entries.StatusFrames];
            }
        }
    }

    /// <summary>Grants that are in use.</summary>
    public int ActiveCount
    {
        get
        {
            lock (_lock)
            {
                return _active.Count;
            }
        }
    }

    internal GuestMemory Memory { get; }

    /// <summary>Makes the table at least so many frames long; false when it may not or cannot be.</summary>
    public bool TryGrow(int count)
    {
        lock (_lock)
        {
            return _entries.TryGrow(count);
        }
    }

    /// <summary>Writes an entry on the guest's behalf, as the tool stack does for console and store: full access to a frame for domain 0.</summary>
    public bool TrySeed(GrantRef reference, Mfn frame)
    {
        lock (_lock)
        {
            if (!_entries.TryGrow(1) || reference.Value >= _entries.Count || frame.Value > uint.MaxValue)
            {
                return false;
            }

            _entries.Write(reference.Value, GrantFlags.PermitAccess, DomainId.Zero, frame.Value);
            return true;
        }
    }

    /// <summary>Writes which frames the table is, and what suspended back ends keep in use.</summary>
    /// <exception cref="SavedStateException">The guest has mapped a grant of its own.</exception>
    internal void Save(StateWriter writer)
    {
        lock (_lock)
        {
            StateReader.Demand(
                _active.Values.All(grant => grant.User == DomainId.Zero.Value && !grant.IsInherited), "a guest that has mapped its own grants cannot be saved");
            _entries.Save(writer);
            writer.PutAll([.. _active], (w, one) =>
            {
                w.Put(one.Key);
                w.Put(one.Value.Frame);
                w.Put((ushort)one.Value.Start);
                w.Put((ushort)one.Value.Length);
                w.PutFlag(one.Value.IsSubPage);
                w.PutFlag(one.Value.Writers > 0);
            });
        }
    }

    /// <summary>Reads what <see cref="Save"/> wrote, into a new table. The frames' contents are the guest's memory.</summary>
    /// <param name="shared">Whether a frame is one that hypervisor and guest share, and is named for the first time.</param>
    internal void Load(StateReader reader, Func<ulong, bool> shared)
    {
        lock (_lock)
        {
            _entries.Load(reader, shared);
            uint count = reader.GetCount(_entries.Count);
            for (uint i = 0; i < count; i++)
            {
                LoadUse(reader);
            }
        }
    }

    private void LoadUse(StateReader reader)
    {
        uint reference = reader.Get<uint>();
        ActiveGrant grant = new()
        {
            User = DomainId.Zero.Value,
            Frame = reader.Get<ulong>(),
            Start = reader.Get<ushort>(),
            Length = reader.Get<ushort>(),
            IsSubPage = reader.GetFlag(),
            IsHeldForWriting = reader.GetFlag(),
            IsInherited = true,
        };
        StateReader.Demand(
            reference < _entries.Count && grant.Start + grant.Length <= GuestMemory.PageSize && _active.TryAdd(reference, grant), $"grant {reference} cannot be in use");
        StateReader.Demand(
            _frames.TryHoldRead(grant.Frame) && (!grant.IsHeldForWriting || _frames.TryHold(grant.Frame)), $"grant {reference} is of no memory of the guest's");
    }

    /// <summary>Begins a back end's use of a grant to domain 0. Any thread.</summary>
    /// <returns>False when the guest does not grant this.</returns>
    public bool TryAccess(GrantRef reference, bool write, [NotNullWhen(true)] out GrantAccess? access)
    {
        GrantStatus status = Acquire(reference.Value, DomainId.Zero, write, forMapping: false, out ActiveGrant? grant);
        access = status == GrantStatus.Okay
            ? new GrantAccess(this, reference.Value, write, (grant!.Frame << GuestMemory.PageShift) + (ulong)grant.Start, grant.Length)
            : null;
        return access is not null;
    }

    /// <summary>Checks a grant and counts a use of it; see <see cref="Release"/>.</summary>
    /// <param name="forMapping">The whole page is wanted; otherwise a part of one will do.</param>
    internal GrantStatus Acquire(uint reference, DomainId user, bool write, bool forMapping, out ActiveGrant? grant)
    {
        lock (_lock)
        {
            if (reference >= _entries.Count)
            {
                grant = null;
                return GrantStatus.BadReference;
            }

            bool isActive = _active.TryGetValue(reference, out grant);
            if (isActive
                && (grant!.User != user.Value || grant.Readers + grant.Writers == MostUses || (forMapping && grant.IsSubPage)))
            {
                return GrantStatus.GeneralError;
            }

            if (isActive && grant!.IsInherited && write == grant.IsHeldForWriting)
            {
                // The use that shows in the entry, and the frame's hold, are the new back end's from now on.
                grant.IsInherited = false;
            }
            else if (!isActive || (write && grant!.Writers == 0))
            {
                GrantFlags use = GrantFlags.Reading | (write ? GrantFlags.Writing : GrantFlags.None);
                if (!TryShowUse(reference, user, use, isActive, forMapping, out GrantFlags flags))
                {
                    return GrantStatus.GeneralError;
                }

                if (!TryHold(reference, user, write, flags, ref grant))
                {
                    HideUse(reference, grant, write);
                    return GrantStatus.BadPage;
                }
            }

            _active[reference] = grant!;
            if (write)
            {
                grant!.Writers++;
            }
            else
            {
                grant!.Readers++;
            }

            return GrantStatus.Okay;
        }
    }

    /// <summary>Ends one use of a grant.</summary>
    internal void Release(uint reference, bool wasWrite)
    {
        lock (_lock)
        {
            ActiveGrant grant = _active[reference];
            if (wasWrite)
            {
                if (--grant.Writers == 0)
                {
                    _frames.Release(grant.Frame);
                }
            }
            else
            {
                grant.Readers--;
            }

            bool isLast = !grant.IsInherited && grant.Writers + grant.Readers == 0;
            HideUse(reference, isLast ? null : grant, wasWrite);
            if (isLast)
            {
                _frames.ReleaseRead(grant.Frame);
                _active.Remove(reference);
            }
        }
    }

    /// <summary>GNTTABOP_set_version.</summary>
    /// <returns>0, or a negated <see cref="Errno"/>.</returns>
    internal int ChangeVersion(uint version)
    {
        if (version is not (1 or 2))
        {
            return -Errno.Invalid;
        }

        lock (_lock)
        {
            if (version == _entries.Version)
            {
                return 0;
            }

            // The first entries may be in use: the console's and the store's.
            return _active.Keys.Any(reference => reference >= GrantEntries.Reserved) ? -Errno.Busy : _entries.ChangeVersion((int)version);
        }
    }

    /// <summary>GNTTABOP_swap_grant_ref.</summary>
    internal GrantStatus Swap(uint first, uint second)
    {
        lock (_lock)
        {
            if (first >= _entries.Count || second >= _entries.Count)
            {
                return GrantStatus.BadReference;
            }

            if (first == second)
            {
                return GrantStatus.Okay;
            }

            if (_active.ContainsKey(first) || _active.ContainsKey(second))
            {
                return GrantStatus.Again;
            }

            _entries.Swap(first, second);
            return GrantStatus.Okay;
        }
    }

    /// <summary>Checks type, domain and rights of an entry and shows the use in it, against a guest that changes it at the same time.</summary>
    private bool TryShowUse(uint reference, DomainId user, GrantFlags use, bool isActive, bool forMapping, out GrantFlags flags)
    {
        ref uint header = ref _entries.Header(reference);
        uint seen = Volatile.Read(ref header);
        flags = (GrantFlags)seen;
        if (_entries.Version == 2)
        {
            if (!IsGranted(seen, user, use, isActive, forMapping))
            {
                return false;
            }

            // First shown, then looked at again: a guest that takes the grant back looks at the status after its change.
            _entries.ChangeUse(reference, use, GrantFlags.None);
            seen = Volatile.Read(ref header);
            flags = (GrantFlags)seen;
            if (IsGranted(seen, user, use, isActive, forMapping))
            {
                return true;
            }

            _entries.ChangeUse(reference, GrantFlags.None, isActive ? GrantFlags.Writing : GrantFlags.Reading | GrantFlags.Writing);
            return false;
        }

        for (int i = 0; i < Tries && IsGranted(seen, user, use, isActive, forMapping); i++)
        {
            uint found = Interlocked.CompareExchange(ref header, seen | (uint)use, seen);
            flags = (GrantFlags)seen;
            if (found == seen)
            {
                return true;
            }

            seen = found;
        }

        return false;
    }

    private bool IsGranted(uint header, DomainId user, GrantFlags use, bool isActive, bool forMapping)
    {
        GrantFlags flags = (GrantFlags)header;

        // A grant in use was checked when its use began. Transitive grants lead to other domains, which this process cannot reach.
        bool isRightKind = (flags & GrantFlags.TypeMask) == GrantFlags.PermitAccess
            && !(forMapping && (flags & GrantFlags.SubPage) != 0)
            && header >> 16 == user.Value;
        return (isActive || isRightKind) && !((use & GrantFlags.Writing) != 0 && (flags & GrantFlags.ReadOnly) != 0);
    }

    /// <summary>Holds the frame: a new grant's for reading, and every written grant's for writing.</summary>
    private bool TryHold(uint reference, DomainId user, bool write, GrantFlags flags, ref ActiveGrant? grant)
    {
        ulong frame = grant?.Frame ?? _entries.FrameOf(reference);
        bool isNew = grant is null;
        if (isNew && !_frames.TryHoldRead(frame))
        {
            return false;
        }

        if (write && !_frames.TryHold(frame))
        {
            if (isNew)
            {
                _frames.ReleaseRead(frame);
            }

            return false;
        }

        if (isNew)
        {
            bool isPart = _entries.Version == 2 && (flags & GrantFlags.SubPage) != 0;
            (int start, int length) = isPart ? _entries.PartOf(reference) : (0, GuestMemory.PageSize);
            start = Math.Min(start, GuestMemory.PageSize);
            grant = new ActiveGrant
            {
                User = user.Value,
                Frame = frame,
                Start = start,
                Length = Math.Min(length, GuestMemory.PageSize - start),
                IsSubPage = isPart,
            };
        }

        return true;
    }

    /// <summary>Takes the flags back that no remaining use needs.</summary>
    private void HideUse(uint reference, ActiveGrant? remaining, bool wasWrite)
    {
        GrantFlags clear = remaining is null ? GrantFlags.Reading : GrantFlags.None;
        if (wasWrite && (remaining?.Writers ?? 0) == 0)
        {
            clear |= GrantFlags.Writing;
        }

        if (clear != GrantFlags.None)
        {
            _entries.ChangeUse(reference, GrantFlags.None, clear);
        }
    }
}
