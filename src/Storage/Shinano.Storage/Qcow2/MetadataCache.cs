namespace Shinano.Storage.Qcow2;

/// <summary>
/// The tables of one kind that are in memory: written back, never more than a number but for those that cannot be dropped because they are dirty;
/// the image flushes before that becomes many. Guarded by the image's gate.
/// </summary>
internal sealed class MetadataCache(Qcow2File file, int clusterSize, int capacity)
{
    private readonly Dictionary<long, MetadataTable> _tables = [];
    private long _clock;
    private int _dirty;

    /// <summary>Half of the cache is dirty: time to write back.</summary>
    public bool IsPressed => _dirty > Math.Max(2, capacity / 2);

    public bool HasDirty => _dirty > 0;

    public MetadataTable Get(long offset)
    {
        if (!_tables.TryGetValue(offset, out MetadataTable? table))
        {
            byte[] data = new byte[clusterSize];
            file.Read(offset, data);
            table = Insert(new MetadataTable(offset, data));
        }

        table.LastUse = ++_clock;
        return table;
    }

    /// <summary>A new table of zeroes, in a cluster that was just allocated: nothing of the file's old bytes is kept.</summary>
    public MetadataTable Create(long offset)
    {
        _tables.Remove(offset);
        MetadataTable table = Insert(new MetadataTable(offset, new byte[clusterSize]));
        table.MarkAllDirty();
        _dirty++;
        table.LastUse = ++_clock;
        return table;
    }

    /// <summary>Adds a table that the file has already.</summary>
    public void Add(MetadataTable table)
    {
        _tables.Remove(table.Offset);
        Insert(table).LastUse = ++_clock;
    }

    /// <summary>Changes one entry of 64 bits.</summary>
    public void Set(MetadataTable table, int index, ulong value)
    {
        if (table[index] != value)
        {
            NoteDirty(table);
            table[index] = value;
        }
    }

    /// <summary>To be called before a table is changed in another way.</summary>
    public void NoteDirty(MetadataTable table)
    {
        if (!table.IsDirty)
        {
            _dirty++;
        }
    }

    /// <summary>Takes all changes. The tables stay until <see cref="Written"/> is called.</summary>
    public List<(long Offset, byte[] Bytes)> Collect()
    {
        List<(long, byte[])> changes = [];
        foreach (MetadataTable table in _tables.Values)
        {
            if (table.IsDirty)
            {
                table.Collect(changes);
                table.IsBeingWritten = true;
            }
        }

        _dirty = 0;
        return changes;
    }

    public void Written()
    {
        foreach (MetadataTable table in _tables.Values)
        {
            table.IsBeingWritten = false;
        }
    }

    private MetadataTable Insert(MetadataTable table)
    {
        while (_tables.Count >= capacity && Oldest() is { } oldest)
        {
            _tables.Remove(oldest.Offset);
        }

        _tables.Add(table.Offset, table);
        return table;
    }

    private MetadataTable? Oldest()
    {
        MetadataTable? oldest = null;
        foreach (MetadataTable table in _tables.Values)
        {
            if (!table.IsDirty && !table.IsBeingWritten && (oldest is null || table.LastUse < oldest.LastUse))
            {
                oldest = table;
            }
        }

        return oldest;
    }
}
