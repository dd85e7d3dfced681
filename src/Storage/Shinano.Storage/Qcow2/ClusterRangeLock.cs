namespace Shinano.Storage.Qcow2;

/// <summary>
/// Locks on ranges of guest clusters, in order of arrival: shared by reads and writes in place, exclusive where a cluster gets another place.
/// Who holds one may use the host clusters of the range outside of the image's gate: they go to nobody else meanwhile.
/// </summary>
internal sealed class ClusterRangeLock
{
    private readonly Lock _gate = new();
    private readonly LinkedList<Holder> _holders = [];

    /// <summary>Waits for the range. Disposing the result gives it up.</summary>
    public ValueTask<Holder> AcquireAsync(long first, long last, bool exclusive)
    {
        Holder holder = new(this, first, last, exclusive);
        lock (_gate)
        {
            // Those who wait count as well: nobody overtakes, so nobody starves.
            foreach (Holder other in _holders)
            {
                holder.Ahead += holder.Excludes(other) ? 1 : 0;
            }

            _holders.AddLast(holder.Node);
            if (holder.Ahead == 0)
            {
                return ValueTask.FromResult(holder);
            }

            holder.Turn = new TaskCompletionSource<Holder>(TaskCreationOptions.RunContinuationsAsynchronously);
            return new ValueTask<Holder>(holder.Turn.Task);
        }
    }

    private void Release(Holder holder)
    {
        lock (_gate)
        {
            for (LinkedListNode<Holder>? node = holder.Node.Next; node is not null; node = node.Next)
            {
                if (node.Value.Excludes(holder) && --node.Value.Ahead == 0)
                {
                    node.Value.Turn!.SetResult(node.Value);
                }
            }

            _holders.Remove(holder.Node);
        }
    }

    internal sealed class Holder : IDisposable
    {
        private readonly ClusterRangeLock _owner;
        private readonly long _first;
        private readonly long _last;
        private readonly bool _exclusive;

        public Holder(ClusterRangeLock owner, long first, long last, bool exclusive)
        {
            (_owner, _first, _last, _exclusive) = (owner, first, last, exclusive);
            Node = new LinkedListNode<Holder>(this);
        }

        public LinkedListNode<Holder> Node { get; }

        /// <summary>How many of those that came earlier must go first.</summary>
        public int Ahead { get; set; }

        public TaskCompletionSource<Holder>? Turn { get; set; }

        public bool Excludes(Holder other) => (_exclusive || other._exclusive) && _first <= other._last && other._first <= _last;

        public void Dispose() => _owner.Release(this);
    }
}
