using Shinano.Devices.Paravirtual.XenBus;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Block;

/// <summary>
/// Pages of one queue that are mapped: for one request each, or kept for the next one when the front end has agreed to it (persistent grants), the least
/// recently used going when there are too many. Thread-safe.
/// </summary>
internal sealed class GrantCache(IFrontEndDomain guest, bool isPersistent, int capacity) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<uint, LinkedListNode<Kept>> _kept = [];
    private readonly LinkedList<Kept> _byUse = new();

    /// <summary>Pages that are kept mapped.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _kept.Count;
            }
        }
    }

    /// <summary>Grants that are kept mapped.</summary>
    public IReadOnlyList<uint> References
    {
        get
        {
            lock (_lock)
            {
                return [.. _kept.Keys];
            }
        }
    }

    /// <summary>Takes over what an earlier back end kept mapped, so far as it still is.</summary>
    public void TakeOver(IEnumerable<uint> references)
    {
        foreach (uint reference in references.Take(capacity))
        {
            if (TryTake(reference, writable: true) is { } lease)
            {
                Return(lease);
            }
        }
    }

    /// <summary>Maps a page, or finds it mapped; null when the guest does not grant it so. To be given back.</summary>
    public Lease? TryTake(uint reference, bool writable)
    {
        if (!isPersistent)
        {
            return guest.TryMap(new GrantRef(reference), writable) is { } page ? new Lease(page, null) : null;
        }

        lock (_lock)
        {
            if (_kept.TryGetValue(reference, out LinkedListNode<Kept>? found))
            {
                found.Value.Users++;
                _byUse.Remove(found);
                _byUse.AddFirst(found);
                return new Lease(found.Value.Page, found.Value);
            }

            // public/io/blkif.h: feature-persistent: such pages are granted for writing, whichever way they are used first.
            if (guest.TryMap(new GrantRef(reference), writable: true) is not { } mapped)
            {
                return !writable && guest.TryMap(new GrantRef(reference), writable: false) is { } once ? new Lease(once, null) : null;
            }

            if (_kept.Count >= capacity && !TryEvict())
            {
                return new Lease(mapped, null);
            }

            Kept kept = new(reference, mapped) { Users = 1 };
            _kept.Add(reference, _byUse.AddFirst(kept));
            return new Lease(mapped, kept);
        }
    }

    /// <summary>Gives a page back, once.</summary>
    public void Return(in Lease lease)
    {
        if (lease.Kept is null)
        {
            lease.Page.Dispose();
            return;
        }

        lock (_lock)
        {
            lease.Kept.Users--;
        }
    }

    /// <summary>Unmaps all; nothing is in use any more.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            foreach (Kept kept in _byUse)
            {
                kept.Page.Dispose();
            }

            _byUse.Clear();
            _kept.Clear();
        }
    }

    private bool TryEvict()
    {
        for (LinkedListNode<Kept>? node = _byUse.Last; node is not null; node = node.Previous)
        {
            if (node.Value.Users == 0)
            {
                _byUse.Remove(node);
                _kept.Remove(node.Value.Reference);
                node.Value.Page.Dispose();
                return true;
            }
        }

        return false;
    }

    /// <summary>A page that is in use.</summary>
    internal readonly record struct Lease(IGrantedPage Page, Kept? Kept);

    /// <summary>A page that stays mapped.</summary>
    internal sealed class Kept(uint reference, IGrantedPage page)
    {
        public uint Reference => reference;

        public IGrantedPage Page => page;

        /// <summary>Requests that use it now.</summary>
        public int Users { get; set; }
    }
}
