namespace Shinano.Storage.Qcow2;

/// <summary>Counts the references to each cluster and compares (qcow2.txt: "Host cluster management"); sets right what can be.</summary>
public sealed class Qcow2Check
{
    private const int MostMessages = 20;

    private readonly ImageState _state;
    private readonly Qcow2Layout _layout;
    private readonly ReferenceCounts _counts = new();
    private readonly List<string> _messages = [];
    private readonly HashSet<long> _tables = [];
    private long _bad;
    private long _data;
    private long _compressed;
    private long _flags;
    private long _low;
    private long _leaks;

    private Qcow2Check(ImageState state) => (_state, _layout) = (state, state.Layout);

    /// <summary>Checks an image that nobody writes to meanwhile. Its backing files are not looked at.</summary>
    /// <param name="path">The image.</param>
    /// <param name="repair">Free leaks and set refcounts and flags right.</param>
    /// <exception cref="ImageInUseException">It is in use.</exception>
    /// <exception cref="InvalidImageException">The header is wrong, or the image has internal snapshots, which are not looked into.</exception>
    public static async Task<ImageCheckReport> RunAsync(string path, bool repair, CancellationToken cancellationToken = default)
    {
        ImageReference reference = new(path, ImageFormat.Qcow2) { ReadOnly = !repair, Backing = BackingPolicy.Anywhere };
        await using Qcow2Image image = Qcow2Opener.Open(reference, forRepair: true);
        return await Task.Run(() => new Qcow2Check(image.State).RunAsync(repair, cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    private async Task<ImageCheckReport> RunAsync(bool repair, CancellationToken cancellationToken)
    {
        if (_state.Header.Snapshots > 0)
        {
            throw _state.File.Invalid("internal snapshots are not looked into; use 'qemu-img check'");
        }

        lock (_state.Gate)
        {
            CountFixed();
            CountTables(cancellationToken);
            CompareFlags(repair: false);
            CompareRefcounts((_, _) => { });
            if (_layout.MostRefcount < uint.MaxValue)
            {
                foreach (long cluster in _counts.Clusters.Where(cluster => _counts[cluster] > _layout.MostRefcount))
                {
                    Report($"cluster {cluster} has {_counts[cluster]} references, more than {_layout.RefcountBits} bits hold");
                }
            }
        }

        ImageCheckReport report = new()
        {
            Leaks = _leaks,
            LowRefcounts = _low,
            WrongFlags = _flags,
            BadEntries = _bad,
            Messages = _messages,
            DataClusters = _data,
            CompressedClusters = _compressed,
            IsRepaired = repair,
        };
        if (repair)
        {
            await RepairAsync().ConfigureAwait(false);
        }

        return report;
    }

    private async Task RepairAsync()
    {
        bool hasBitmaps = _state.Header.OtherExtensions.Any(extension => extension.Type == 0x23852875);
        List<(long Cluster, uint Count)> leaks = [];
        lock (_state.Gate)
        {
            List<(long Cluster, uint Count)> low = [];
            CompareRefcounts((cluster, isLeak) => (isLeak ? leaks : low).Add((cluster, _counts[cluster])));
            _state.Refcounts.IsUsedElsewhere = cluster => _counts[cluster] > 0;
            _state.Refcounts.UsedElsewhereEnd = low.Count == 0 ? 0 : _counts.Clusters.Max() + 1;
            foreach ((long cluster, uint count) in low)
            {
                _state.Refcounts.Set(cluster, Math.Min(count, _layout.MostRefcount));
            }
        }

        // In this order a crash in between leaves no less references counted than there are.
        await _state.FlushAsync().ConfigureAwait(false);
        lock (_state.Gate)
        {
            CompareFlags(repair: true);
        }

        await _state.FlushAsync().ConfigureAwait(false);
        lock (_state.Gate)
        {
            // Clusters of persistent bitmaps look like leaks, as we do not read their directory.
            foreach ((long cluster, uint count) in hasBitmaps ? [] : leaks)
            {
                _state.Refcounts.Set(cluster, count);
            }
        }

        await _state.FlushAsync().ConfigureAwait(false);
        ulong marks = Qcow2Features.Dirty | (_bad == 0 ? Qcow2Features.Corrupt : 0);
        if ((_state.Header.Incompatible & marks) != 0)
        {
            lock (_state.Gate)
            {
                _state.Rewrite(_state.Header with { Incompatible = _state.Header.Incompatible & ~marks });
            }
        }
    }

    private void CountFixed()
    {
        Qcow2Header header = _state.Header;
        _counts.Add(0);
        CountRange(header.L1Offset, header.L1Entries * 8L);
        CountRange(header.RefcountTableOffset, (long)header.RefcountTableClusters << _layout.ClusterBits);
        for (int i = 0; i < _state.Refcounts.TableEntries; i++)
        {
            ulong block = _state.Refcounts.BlockAt(i);
            if (block != 0 && (!_state.Refcounts.IsValid(block) || !_state.Regions.TryAdd((long)block)))
            {
                Report($"entry {i} of the refcount table is 0x{block:x}");
            }
            else if (block != 0)
            {
                _counts.Add((long)block >> _layout.ClusterBits);
            }
        }
    }

    private void CountTables(CancellationToken cancellationToken)
    {
        for (int i = 0; i < _state.Map.L1Entries; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ulong raw = _state.Map.RawL1(i);
            long offset = (long)(raw & Qcow2Layout.OffsetMask);
            if (raw == 0)
            {
                continue;
            }

            if ((raw & ~(Qcow2Layout.OffsetMask | Qcow2Layout.Copied)) != 0 || offset == 0 || !_layout.IsAligned(offset) || !_state.Regions.TryAdd(offset))
            {
                // A table that two entries lead to is counted once: a hostile image would have us read it for ever.
                Report($"entry {i} of the L1 table is 0x{raw:x}");
                continue;
            }

            _tables.Add(i);
            _counts.Add(offset >> _layout.ClusterBits);
            MetadataTable table = _state.Map.Cache.Get(offset);
            for (int entry = 0; entry < _layout.TableEntries; entry++)
            {
                CountEntry(table[entry], ((long)i * _layout.TableEntries) + entry);
            }
        }
    }

    private void CountEntry(ulong raw, long guestCluster)
    {
        if (raw == 0)
        {
            return;
        }

        if (ClusterEntry.Decode(_layout, raw) is not { } entry)
        {
            Report($"the L2 entry of guest cluster {guestCluster} is 0x{raw:x}");
            return;
        }

        if (entry.HostOffset == 0)
        {
            return;
        }

        long last = entry.Kind == ClusterKind.Compressed ? entry.HostOffset + entry.CompressedLength - 1 : entry.HostOffset;
        for (long cluster = entry.HostOffset >> _layout.ClusterBits; cluster <= last >> _layout.ClusterBits; cluster++)
        {
            if (_state.Regions.Contains(cluster))
            {
                Report($"guest cluster {guestCluster} lies where a table of the image is");
            }

            _counts.Add(cluster);
        }

        _data++;
        _compressed += entry.Kind == ClusterKind.Compressed ? 1 : 0;
    }

    /// <summary>The flags of entries in tables that are whole.</summary>
    private void CompareFlags(bool repair)
    {
        foreach (int index in _tables.Select(i => (int)i))
        {
            ulong raw = _state.Map.RawL1(index);
            long offset = (long)(raw & Qcow2Layout.OffsetMask);
            if (Right(raw, offset) is var right && right != raw)
            {
                _flags += repair ? 0 : 1;
                if (repair)
                {
                    _state.Map.SetRawL1(index, right);
                }
            }

            MetadataTable table = _state.Map.Cache.Get(offset);
            for (int i = 0; i < _layout.TableEntries; i++)
            {
                ulong entry = table[i];
                if (entry == 0 || ClusterEntry.Decode(_layout, entry) is not { Kind: not ClusterKind.Compressed, HostOffset: > 0 } decoded)
                {
                    continue;
                }

                ulong rightEntry = Right(entry, decoded.HostOffset);
                if (rightEntry != entry)
                {
                    _flags += repair ? 0 : 1;
                    if (repair)
                    {
                        _state.Map.Cache.Set(table, i, rightEntry);
                    }
                }
            }
        }
    }

    private ulong Right(ulong entry, long offset) =>
        _counts[offset >> _layout.ClusterBits] == 1 ? entry | Qcow2Layout.Copied : entry & ~Qcow2Layout.Copied;

    private void CompareRefcounts(Action<long, bool> found)
    {
        (_low, _leaks) = (0, 0);
        for (int block = 0; block < _state.Refcounts.TableEntries; block++)
        {
            ulong offset = _state.Refcounts.BlockAt(block);
            if (offset == 0 || !_state.Refcounts.IsValid(offset))
            {
                continue;
            }

            long first = (long)block * _layout.RefcountsPerBlock;
            for (long cluster = first; cluster < first + _layout.RefcountsPerBlock; cluster++)
            {
                Compare(cluster, _state.Refcounts.Get(cluster), found);
            }
        }

        foreach (long cluster in _counts.Clusters)
        {
            ulong block = _state.Refcounts.BlockAt((int)Math.Min(cluster / _layout.RefcountsPerBlock, int.MaxValue));
            if (block == 0)
            {
                Compare(cluster, 0, found);
            }
        }
    }

    private void Compare(long cluster, ulong counted, Action<long, bool> found)
    {
        ulong right = Math.Min(_counts[cluster], _layout.MostRefcount);
        if (counted != right)
        {
            _leaks += counted > right ? 1 : 0;
            _low += counted < right ? 1 : 0;
            found(cluster, counted > right);
        }
    }

    private void CountRange(long offset, long bytes)
    {
        for (long i = 0; i < _layout.ClustersOf(bytes); i++)
        {
            _counts.Add((offset >> _layout.ClusterBits) + i);
        }
    }

    private void Report(string message)
    {
        _bad++;
        if (_messages.Count < MostMessages)
        {
            _messages.Add(message);
        }
    }
}
