namespace Shinano.Storage.Qcow2;

/// <summary>An open image's tables and the order in which they reach the file.</summary>
/// <remarks>
/// <para>What stands in the file at any moment must be an image whose only fault are leaks:</para>
/// <code>
/// data, refcounts      before   L2 entries that lead to them     before   L1 entries that lead to those
/// cleared L2 entries   before   the refcounts that they gave up, and before their clusters are used again
/// </code>
/// <para>Each "before" is an fdatasync between. Nothing is written before a flush, but for a full cache.</para>
/// </remarks>
internal sealed class ImageState
{
    private const int L2CacheBytes = 16 << 20;
    private const int RefcountCacheBytes = 4 << 20;

    private readonly SemaphoreSlim _flushing = new(1, 1);
    private List<(long Cluster, long Count)> _toFree = [];
    private bool _dataSinceFlush;
    private long _end;

    public ImageState(Qcow2File file, Qcow2Header header, bool writable)
    {
        File = file;
        Header = header;
        Layout = header.Layout;
        Regions = new MetadataRegions(Layout);
        Regions.SetL1(header.L1Offset, header.L1Entries);
        Regions.SetRefcountTable(header.RefcountTableOffset, header.RefcountTableClusters);
        Map = new ClusterMap(file, header, new MetadataCache(file, Layout.ClusterSize, Math.Max(4, (writable ? L2CacheBytes : L2CacheBytes / 4) >> Layout.ClusterBits)), Regions);
        Refcounts = new RefcountStore(
            file, header, new MetadataCache(file, Layout.ClusterSize, Math.Max(4, RefcountCacheBytes >> Layout.ClusterBits)), Regions, MoveRefcountTable)
        {
            FreeLater = FreeLater,
        };
        _end = Layout.ClustersOf(file.Length) << Layout.ClusterBits;
    }

    /// <summary>Guards all that is not said to be otherwise. Never held while data is read or written.</summary>
    public Lock Gate { get; } = new();

    public Qcow2File File { get; }

    public Qcow2Layout Layout { get; }

    public Qcow2Header Header { get; private set; }

    public MetadataRegions Regions { get; }

    public ClusterMap Map { get; }

    public RefcountStore Refcounts { get; }

    /// <summary>Too many changes are in memory: a flush is due before more is done.</summary>
    public bool IsPressed => Map.Cache.IsPressed || Refcounts.Cache.IsPressed;

    public void NoteData() => Volatile.Write(ref _dataSinceFlush, true);

    /// <summary>Clusters for data.</summary>
    /// <param name="isFresh">They were never written: they read as zeroes.</param>
    public (long Offset, int Count) Allocate(int most, out bool isFresh)
    {
        (long first, int count) = Refcounts.Allocate(most);
        long offset = first << Layout.ClusterBits;
        isFresh = offset >= _end;
        _end = Math.Max(_end, offset + ((long)count << Layout.ClusterBits));
        return (offset, count);
    }

    /// <summary>Gives up clusters that were never led to.</summary>
    public void FreeNow(long offset, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Refcounts.Decrement((offset >> Layout.ClusterBits) + i);
        }
    }

    /// <summary>Gives up a reference to clusters once the file does not lead to them any more.</summary>
    public void FreeLater(long cluster, long count)
    {
        // Runs are kept together: a discard of a disk gives up millions.
        if (_toFree.Count > 0 && _toFree[^1].Cluster + _toFree[^1].Count == cluster)
        {
            _toFree[^1] = (_toFree[^1].Cluster, _toFree[^1].Count + count);
        }
        else
        {
            _toFree.Add((cluster, count));
        }
    }

    /// <summary>Gives up what an L2 entry led to.</summary>
    /// <exception cref="InvalidImageException">The entry leads to a table of the image.</exception>
    public void FreeLater(ClusterEntry entry)
    {
        if (entry.HostOffset == 0)
        {
            return;
        }

        long first = entry.HostOffset >> Layout.ClusterBits;
        long last = entry.Kind == ClusterKind.Compressed ? (entry.HostOffset + entry.CompressedLength - 1) >> Layout.ClusterBits : first;
        for (long cluster = first; cluster <= last; cluster++)
        {
            CheckData(cluster);
        }

        FreeLater(first, last - first + 1);
    }

    /// <exception cref="InvalidImageException">A guest's cluster is where a table of the image is.</exception>
    public void CheckData(long cluster)
    {
        if (Regions.Contains(cluster))
        {
            throw File.Invalid($"a guest's cluster lies at 0x{cluster << Layout.ClusterBits:x}, where a table of the image is");
        }
    }

    /// <summary>Makes all that was done before durable.</summary>
    public async Task FlushAsync()
    {
        await _flushing.WaitAsync().ConfigureAwait(false);
        try
        {
            await BlockingCalls.RunAsync(WriteBack).ConfigureAwait(false);
        }
        finally
        {
            _flushing.Release();
        }
    }

    /// <summary>Writes the header anew, durably.</summary>
    public void Rewrite(Qcow2Header header)
    {
        byte[] bytes = header.Encode();

        // What was there before may be longer: the end of the extensions is marked, and names are found by offset.
        File.Write(0, bytes);
        File.Flush();
        Header = header;
    }

    /// <summary>Moves the L1 table to a place where it has more entries, if it has less.</summary>
    public async Task GrowL1Async(int entries)
    {
        await _flushing.WaitAsync().ConfigureAwait(false);
        try
        {
            lock (Gate)
            {
                if (entries > Map.L1Entries)
                {
                    GrowL1(entries);
                }
            }
        }
        finally
        {
            _flushing.Release();
        }
    }

    private void GrowL1(int entries)
    {
        int clusters = (int)Layout.ClustersOf(entries * 8L);
        long offset = Refcounts.Allocate(clusters, exactly: true).First << Layout.ClusterBits;

        // The new table must not lead to what the file does not have: what is dirty goes first.
        WriteBack();
        byte[] table = new byte[clusters << Layout.ClusterBits];
        Map.Enlarged(entries).CopyTo(table, 0);
        File.Write(offset, table);
        File.Flush();
        (long oldOffset, long oldClusters) = (Map.L1Offset, Layout.ClustersOf(Map.L1Entries * 8L));
        Rewrite(Header with { L1Offset = offset, L1Entries = entries });
        Map.Moved(offset, entries);
        if (oldOffset != 0 && oldClusters > 0)
        {
            FreeLater(oldOffset >> Layout.ClusterBits, oldClusters);
        }
    }

    private void WriteBack()
    {
        List<(long, byte[])> refcounts;
        List<(long, byte[])> tables;
        List<(long, byte[])> roots;
        List<(long Cluster, long Count)> freed;
        File.ThrowIfLost();
        lock (Gate)
        {
            refcounts = Refcounts.Cache.Collect();
            tables = Map.Cache.Collect();
            roots = Map.CollectL1();
            (freed, _toFree) = (_toFree, []);
            bool data = Interlocked.Exchange(ref _dataSinceFlush, false);
            if (!data && refcounts.Count == 0 && tables.Count == 0 && roots.Count == 0 && freed.Count == 0)
            {
                return;
            }
        }

        try
        {
            WriteAll(refcounts);
            File.Flush();
            if (tables.Count > 0)
            {
                WriteAll(tables);
                File.Flush();
            }

            if (roots.Count > 0)
            {
                WriteAll(roots);
                File.Flush();
            }

            Release(freed);
        }
        catch (IOException e)
        {
            File.MarkLost(e);
            throw;
        }
    }

    private void WriteAll(List<(long Offset, byte[] Bytes)> changes)
    {
        foreach ((long offset, byte[] bytes) in changes)
        {
            File.Write(offset, bytes);
        }
    }

    /// <summary>Nothing in the file leads to these any more. Their space goes back first, while nobody else can get them.</summary>
    private void Release(List<(long Cluster, long Count)> freed)
    {
        foreach ((long cluster, long count) in freed)
        {
            bool single;
            lock (Gate)
            {
                single = Enumerable.Range(0, (int)Math.Min(count, int.MaxValue)).All(i => Refcounts.Get(cluster + i) == 1);
            }

            if (single)
            {
                _ = Shinano.Linux.FileStorage.TryPunchHole(File.Handle, cluster << Layout.ClusterBits, count << Layout.ClusterBits);
            }
        }

        lock (Gate)
        {
            Map.Cache.Written();
            Refcounts.Cache.Written();
            foreach ((long cluster, long count) in freed)
            {
                for (long i = 0; i < count; i++)
                {
                    Refcounts.Decrement(cluster + i);
                }
            }
        }
    }

    private void MoveRefcountTable(long offset, int clusters) =>
        Rewrite(Header with { RefcountTableOffset = offset, RefcountTableClusters = clusters });
}
