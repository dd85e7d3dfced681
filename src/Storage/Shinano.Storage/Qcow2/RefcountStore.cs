using System.Buffers.Binary;

namespace Shinano.Storage.Qcow2;

/// <summary>Reference counts of host clusters, and the search for free ones (qcow2.txt: "Host cluster management"). Guarded by the image's gate.</summary>
internal sealed class RefcountStore
{
    private readonly Qcow2File _file;
    private readonly Qcow2Layout _layout;
    private readonly MetadataCache _blocks;
    private readonly MetadataRegions _regions;
    private readonly Action<long, int> _moveTable;
    private ulong[] _table;
    private long _tableOffset;
    private long _hint;

    /// <param name="moveTable">Makes the header point at a new refcount table: offset, clusters; durable when it returns.</param>
    public RefcountStore(Qcow2File file, Qcow2Header header, MetadataCache blocks, MetadataRegions regions, Action<long, int> moveTable)
    {
        (_file, _layout, _blocks, _regions, _moveTable) = (file, header.Layout, blocks, regions, moveTable);
        _tableOffset = header.RefcountTableOffset;
        byte[] bytes = new byte[header.RefcountTableClusters << _layout.ClusterBits];
        _file.Read(_tableOffset, bytes);
        _table = new ulong[bytes.Length / 8];
        for (int i = 0; i < _table.Length; i++)
        {
            _table[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        }
    }

    public int TableEntries => _table.Length;

    public MetadataCache Cache => _blocks;

    /// <summary>Clusters of an old refcount table, once the header points at the new one.</summary>
    public Action<long, long> FreeLater { get; set; } = (_, _) => { };

    /// <summary>What a repair knows to be in use although nothing counts it.</summary>
    public Func<long, bool> IsUsedElsewhere { get; set; } = _ => false;

    /// <summary>The cluster behind the last of these.</summary>
    public long UsedElsewhereEnd { get; set; }

    /// <summary>Makes the blocks known as the image's own.</summary>
    /// <exception cref="InvalidImageException">Two of them are one, or one is where another table is.</exception>
    public void RegisterBlocks()
    {
        for (int i = 0; i < _table.Length; i++)
        {
            if (_table[i] != 0 && (!IsValid(_table[i]) || !_regions.TryAdd((long)_table[i])))
            {
                throw _file.Invalid($"entry {i} of the refcount table is 0x{_table[i]:x}, which is no place for a refcount block");
            }
        }
    }

    /// <summary>The block of an entry of the refcount table, 0 when there is none.</summary>
    public ulong BlockAt(int index) => index < _table.Length ? _table[index] : 0;

    public bool IsValid(ulong blockOffset) => blockOffset < Qcow2Layout.HostLimit && _layout.IsAligned((long)blockOffset) && blockOffset != 0;

    public ulong Get(long cluster)
    {
        long block = cluster / _layout.RefcountsPerBlock;
        return block < _table.Length && Block((int)block) is { } table ? Read(table, (int)(cluster % _layout.RefcountsPerBlock)) : 0;
    }

    /// <summary>Gives a cluster a refcount, making the block that holds it if need be.</summary>
    public void Set(long cluster, ulong value)
    {
        if (value > _layout.MostRefcount)
        {
            throw _file.Invalid($"cluster {cluster} would have {value} references, more than {_layout.RefcountBits} bits hold");
        }

        EnsureBlock(cluster);
        int block = (int)(cluster / _layout.RefcountsPerBlock);
        MetadataTable table = Block(block)!;
        _blocks.NoteDirty(table);
        Write(table, (int)(cluster % _layout.RefcountsPerBlock), value);
        if (value == 0)
        {
            _hint = Math.Min(_hint, cluster);
        }
    }

    public void Decrement(long cluster)
    {
        ulong count = Get(cluster);
        if (count == 0)
        {
            throw _file.Invalid($"cluster {cluster} is in use and has no references; 'xvol check --repair' mends that");
        }

        Set(cluster, count - 1);
    }

    /// <summary>Takes free clusters that lie side by side, giving each a refcount of one.</summary>
    /// <param name="most">How many are wanted; at least one is given.</param>
    /// <param name="exactly">As many as wanted, not less.</param>
    public (long First, int Count) Allocate(int most, bool exactly = false)
    {
        // The first cluster of what a block counts holds the block: no longer run can be free.
        if (exactly && most >= _layout.RefcountsPerBlock)
        {
            throw new IOException($"'{_file.Path}': clusters of {_layout.ClusterSize} bytes are too small for a table of that length");
        }

        long cluster = _hint;
        while (true)
        {
            cluster = NextFree(cluster);
            int count = 1;
            while (count < most && IsFree(cluster + count))
            {
                count++;
            }

            if (exactly && count < most)
            {
                cluster += count + 1;
                continue;
            }

            for (int i = 0; i < count; i++)
            {
                Set(cluster + i, 1);
            }

            if (!exactly)
            {
                _hint = cluster + count;
            }

            return (cluster, count);
        }
    }

    private long NextFree(long cluster)
    {
        while (true)
        {
            if (cluster >= Qcow2Layout.HostLimit >> _layout.ClusterBits)
            {
                throw new IOException($"'{_file.Path}': the image cannot have more clusters");
            }

            EnsureBlock(cluster);
            if (IsFree(cluster))
            {
                return cluster;
            }

            cluster++;
        }
    }

    /// <summary>A cluster whose block exists and that nothing uses. A table that is counted as free would be overwritten with a guest's data.</summary>
    private bool IsFree(long cluster)
    {
        long block = cluster / _layout.RefcountsPerBlock;
        if (block >= _table.Length || _table[block] == 0 || Get(cluster) != 0)
        {
            return false;
        }

        return _regions.Contains(cluster)
            ? throw _file.Invalid($"cluster {cluster} holds a table of the image and has no references; 'xvol check --repair' mends that")
            : true;
    }

    private MetadataTable? Block(int index)
    {
        ulong offset = _table[index];
        return offset == 0
            ? null
            : IsValid(offset) ? _blocks.Get((long)offset) : throw _file.Invalid($"entry {index} of the refcount table is 0x{offset:x}");
    }

    /// <summary>
    /// Makes the block that counts a cluster. It lies in the first cluster that it counts, of which nothing is known to be used, and counts
    /// itself. It is in the file before the table points at it.
    /// </summary>
    private void EnsureBlock(long cluster)
    {
        long index = cluster / _layout.RefcountsPerBlock;
        if (index >= _table.Length)
        {
            GrowTable(index);
        }

        if (_table[index] != 0)
        {
            return;
        }

        long place = FirstUnused(index * _layout.RefcountsPerBlock);
        MetadataTable block = new(place << _layout.ClusterBits, new byte[_layout.ClusterSize]);
        Write(block, (int)(place % _layout.RefcountsPerBlock), 1);
        _ = _regions.TryAdd(block.Offset);
        _file.Write(block.Offset, block.Data);
        _file.Flush();
        block.Collect([]);
        _table[index] = (ulong)block.Offset;
        Span<byte> entry = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(entry, _table[index]);
        _file.Write(_tableOffset + (index * 8), entry);
        _blocks.Add(block);
    }

    private long FirstUnused(long first)
    {
        // Tables may lie here although nothing counts them (an image that lost a block).
        long cluster = first;
        while (_regions.Contains(cluster) || IsUsedElsewhere(cluster))
        {
            cluster++;
        }

        return cluster - first < _layout.RefcountsPerBlock
            ? cluster
            : throw _file.Invalid("there is no room for a refcount block");
    }

    /// <summary>Moves the table to a larger place behind all that is in use, with the blocks that count it.</summary>
    private void GrowTable(long index)
    {
        int perCluster = _layout.TableEntries;
        long start = Math.Max(Math.Max(index, _table.Length) * _layout.RefcountsPerBlock, UsedElsewhereEnd);
        long clusters = Math.Max((index / perCluster) + 1, 2L * (_table.Length / perCluster));
        long blocks = 1;
        while (true)
        {
            // More blocks may need a longer table, and that more blocks: until one counts the other.
            long covered = (start + clusters + blocks + _layout.RefcountsPerBlock - 1) / _layout.RefcountsPerBlock;
            long longer = Math.Max(clusters, (covered + perCluster - 1) / perCluster);
            long needed = Math.Max(blocks, covered - (start / _layout.RefcountsPerBlock));
            if (longer == clusters && needed == blocks)
            {
                break;
            }

            (clusters, blocks) = (longer, needed);
        }

        if (clusters << _layout.ClusterBits > Math.Max(Qcow2Layout.MostRefcountTableBytes, _layout.ClusterSize))
        {
            throw new IOException($"'{_file.Path}': the image cannot grow: its refcount table would have more than 8 MiB");
        }

        for (long cluster = start; cluster < start + clusters + blocks; cluster++)
        {
            if (_regions.Contains(cluster))
            {
                throw _file.Invalid($"cluster {cluster} holds a table of the image and has no references; 'xvol check --repair' mends that");
            }
        }

        ulong[] table = new ulong[clusters * perCluster];
        _table.CopyTo(table, 0);
        long firstBlock = start / _layout.RefcountsPerBlock;
        List<MetadataTable> made = [];
        for (long i = 0; i < blocks; i++)
        {
            MetadataTable block = new((start + clusters + i) << _layout.ClusterBits, new byte[_layout.ClusterSize]);
            for (long cluster = start; cluster < start + clusters + blocks; cluster++)
            {
                if (cluster / _layout.RefcountsPerBlock == firstBlock + i)
                {
                    Write(block, (int)(cluster % _layout.RefcountsPerBlock), 1);
                }
            }

            block.Collect([]);
            table[firstBlock + i] = (ulong)block.Offset;
            _file.Write(block.Offset, block.Data);
            made.Add(block);
        }

        byte[] bytes = new byte[clusters << _layout.ClusterBits];
        for (int i = 0; i < table.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), table[i]);
        }

        long offset = start << _layout.ClusterBits;
        _file.Write(offset, bytes);
        _file.Flush();
        _moveTable(offset, (int)clusters);
        FreeLater(_tableOffset >> _layout.ClusterBits, _table.Length / perCluster);
        _table = table;
        _tableOffset = offset;
        _regions.SetRefcountTable(offset, clusters);
        foreach (MetadataTable block in made)
        {
            _ = _regions.TryAdd(block.Offset);
            _blocks.Add(block);
        }
    }

    /// <summary>Refcounts of less than a byte count from the least significant bit; others are big-endian.</summary>
    private ulong Read(MetadataTable table, int index)
    {
        ReadOnlySpan<byte> data = table.Data;
        return _layout.RefcountOrder switch
        {
            6 => BinaryPrimitives.ReadUInt64BigEndian(data[(index * 8)..]),
            5 => BinaryPrimitives.ReadUInt32BigEndian(data[(index * 4)..]),
            4 => BinaryPrimitives.ReadUInt16BigEndian(data[(index * 2)..]),
            3 => data[index],
            _ => (ulong)(data[index * _layout.RefcountBits / 8] >> (index * _layout.RefcountBits % 8)) & _layout.MostRefcount,
        };
    }

    private void Write(MetadataTable table, int index, ulong value)
    {
        Span<byte> data = table.Data;
        switch (_layout.RefcountOrder)
        {
            case 6:
                BinaryPrimitives.WriteUInt64BigEndian(data[(index * 8)..], value);
                break;
            case 5:
                BinaryPrimitives.WriteUInt32BigEndian(data[(index * 4)..], (uint)value);
                break;
            case 4:
                BinaryPrimitives.WriteUInt16BigEndian(data[(index * 2)..], (ushort)value);
                break;
            case 3:
                data[index] = (byte)value;
                break;
            default:
                int shift = index * _layout.RefcountBits % 8;
                ref byte cell = ref data[index * _layout.RefcountBits / 8];
                cell = (byte)((cell & ~((int)_layout.MostRefcount << shift)) | ((int)value << shift));
                break;
        }

        table.MarkDirty((int)((long)index * _layout.RefcountBits / 8));
    }
}
