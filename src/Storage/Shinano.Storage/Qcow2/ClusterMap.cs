using System.Buffers.Binary;

namespace Shinano.Storage.Qcow2;

/// <summary>Which host cluster holds a guest cluster: the L1 table, in memory, and L2 tables through a cache (qcow2.txt: "Cluster mapping"). Guarded by the image's gate.</summary>
internal sealed class ClusterMap
{
    private readonly Qcow2File _file;
    private readonly Qcow2Layout _layout;
    private readonly MetadataCache _tables;
    private readonly MetadataRegions _regions;
    private readonly HashSet<int> _dirtyL1 = [];
    private ulong[] _l1;

    public ClusterMap(Qcow2File file, Qcow2Header header, MetadataCache tables, MetadataRegions regions)
    {
        (_file, _layout, _tables, _regions) = (file, header.Layout, tables, regions);
        L1Offset = header.L1Offset;
        byte[] bytes = new byte[header.L1Entries * 8];
        _file.Read(L1Offset, bytes);
        _l1 = new ulong[header.L1Entries];
        for (int i = 0; i < _l1.Length; i++)
        {
            _l1[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }
    }

    public MetadataCache Cache => _tables;

    public long L1Offset { get; private set; }

    public int L1Entries => _l1.Length;

    public bool HasDirty => _dirtyL1.Count > 0 || _tables.HasDirty;

    /// <summary>Makes the L2 tables known as the image's own.</summary>
    /// <exception cref="InvalidImageException">Two of them are one, or one is where another table is.</exception>
    public void RegisterTables()
    {
        for (int i = 0; i < _l1.Length; i++)
        {
            if (TableOffset(i) is var offset and not 0 && !_regions.TryAdd(offset))
            {
                throw _file.Invalid($"entry {i} of the L1 table leads to where another table is");
            }
        }
    }

    public ulong RawL1(int index) => _l1[index];

    public void SetRawL1(int index, ulong value)
    {
        _l1[index] = value;
        _dirtyL1.Add(index);
    }

    /// <summary>Where an L2 table is; 0 when there is none.</summary>
    /// <exception cref="InvalidImageException">The entry is not legal.</exception>
    public long TableOffset(int index)
    {
        ulong entry = _l1[index];
        long offset = (long)(entry & Qcow2Layout.OffsetMask);
        if ((entry & ~(Qcow2Layout.OffsetMask | Qcow2Layout.Copied)) != 0 || !_layout.IsAligned(offset))
        {
            throw _file.Invalid($"entry {index} of the L1 table is 0x{entry:x}");
        }

        return offset;
    }

    /// <summary>The L2 table that maps a guest cluster; null when there is none.</summary>
    public MetadataTable? TableOf(long cluster)
    {
        long index = cluster / _layout.TableEntries;
        long offset = index < _l1.Length ? TableOffset((int)index) : 0;
        return offset == 0 ? null : _tables.Get(offset);
    }

    /// <summary>The L2 table that maps a guest cluster, made if there is none.</summary>
    public MetadataTable TableForChange(long cluster, RefcountStore refcounts)
    {
        int index = checked((int)(cluster / _layout.TableEntries));
        if (TableOf(cluster) is { } table)
        {
            return (_l1[index] & Qcow2Layout.Copied) != 0
                ? table
                : throw _file.Invalid($"entry {index} of the L1 table leads to a table that is shared; 'xvol check --repair' mends that");
        }

        long offset = refcounts.Allocate(1).First << _layout.ClusterBits;
        _ = _regions.TryAdd(offset);
        table = _tables.Create(offset);
        SetRawL1(index, (ulong)offset | Qcow2Layout.Copied);
        return table;
    }

    public ClusterEntry Entry(long cluster) =>
        TableOf(cluster) is { } table ? Decode(table, cluster) : new ClusterEntry(ClusterKind.Unallocated, 0, false);

    public ClusterEntry Decode(MetadataTable table, long cluster)
    {
        ulong raw = table[IndexOf(cluster)];
        return ClusterEntry.Decode(_layout, raw) ?? throw _file.Invalid($"the L2 entry of guest cluster {cluster} is 0x{raw:x}");
    }

    public void Set(MetadataTable table, long cluster, ulong entry) => _tables.Set(table, IndexOf(cluster), entry);

    /// <summary>Takes changed entries of the L1 table.</summary>
    public List<(long Offset, byte[] Bytes)> CollectL1()
    {
        List<(long, byte[])> changes = [];
        foreach (int index in _dirtyL1)
        {
            byte[] bytes = new byte[8];
            BinaryPrimitives.WriteUInt64BigEndian(bytes, _l1[index]);
            changes.Add((L1Offset + (index * 8L), bytes));
        }

        _dirtyL1.Clear();
        return changes;
    }

    /// <summary>The table with more entries, as it goes to a new place.</summary>
    public byte[] Enlarged(int entries)
    {
        byte[] bytes = new byte[entries * 8];
        for (int i = 0; i < _l1.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), _l1[i]);
        }

        return bytes;
    }

    /// <summary>The file has the enlarged table now, and the header points at it.</summary>
    public void Moved(long offset, int entries)
    {
        Array.Resize(ref _l1, entries);
        L1Offset = offset;
        _regions.SetL1(offset, entries);
    }

    private int IndexOf(long cluster) => (int)(cluster & (_layout.TableEntries - 1));
}
