namespace Shinano.Storage.Qcow2;

/// <summary>Gives guest clusters places in the file and takes them away. The gate is held in each call, and the guest clusters' range is locked exclusively.</summary>
internal sealed class ClusterPlacer(ImageState state)
{
    private readonly Qcow2Layout _layout = state.Layout;
    private long _packedAt;

    /// <summary>Refuses a write in place where it would hit what is not the guest's alone.</summary>
    /// <exception cref="InvalidImageException">The clusters are shared, or tables of the image.</exception>
    public void CheckWritable(ClusterRun run)
    {
        if (!run.Entry.IsCopied)
        {
            throw state.File.Invalid($"the cluster at 0x{run.HostOffset:x} is shared; 'xvol check --repair' mends that");
        }

        long last = (run.HostOffset + run.Length - 1) >> _layout.ClusterBits;
        for (long cluster = run.HostOffset >> _layout.ClusterBits; cluster <= last; cluster++)
        {
            state.CheckData(cluster);
        }
    }

    /// <summary>Places for the clusters from a guest offset on, as many as can lie side by side.</summary>
    /// <param name="length">Bytes from there on; they lie in one L2 table, and the first cluster has no place.</param>
    public NewClusters Place(long offset, int length)
    {
        long first = offset >> _layout.ClusterBits;
        long last = (offset + length - 1) >> _layout.ClusterBits;
        MetadataTable table = state.Map.TableForChange(first, state.Refcounts);
        ClusterEntry entry = state.Map.Decode(table, first);
        bool reserved = IsReserved(entry);
        long end = first + 1;
        while (end <= last && state.Map.Decode(table, end) is var next && next.Kind != ClusterKind.Data && IsReserved(next) == reserved
            && (!reserved || next.HostOffset == entry.HostOffset + ((end - first) << _layout.ClusterBits)))
        {
            end++;
        }

        if (reserved)
        {
            for (long i = 0; i < end - first; i++)
            {
                state.CheckData((entry.HostOffset >> _layout.ClusterBits) + i);
            }

            return new NewClusters(first << _layout.ClusterBits, end << _layout.ClusterBits, entry.HostOffset, IsFresh: false, IsReserved: true);
        }

        (long host, int count) = state.Allocate((int)(end - first), out bool fresh);
        return new NewClusters(first << _layout.ClusterBits, (first + count) << _layout.ClusterBits, host, fresh, IsReserved: false);
    }

    /// <summary>The data could not be written.</summary>
    public void Abandon(NewClusters place)
    {
        if (!place.IsReserved)
        {
            state.FreeNow(place.HostOffset, (int)((place.End - place.Start) >> _layout.ClusterBits));
        }
    }

    /// <summary>The data is written: the tables lead to it from now on.</summary>
    public void Commit(NewClusters place)
    {
        MetadataTable table = state.Map.TableForChange(place.Start >> _layout.ClusterBits, state.Refcounts);
        long host = place.HostOffset;
        for (long guest = place.Start; guest < place.End; guest += _layout.ClusterSize, host += _layout.ClusterSize)
        {
            long cluster = guest >> _layout.ClusterBits;
            if (!place.IsReserved)
            {
                state.FreeLater(state.Map.Decode(table, cluster));
            }

            state.Map.Set(table, cluster, (ulong)host | Qcow2Layout.Copied);
        }
    }

    /// <summary>Makes clusters of one L2 table read as zeroes.</summary>
    /// <param name="hasBacking">Clusters without an entry do not read as zeroes.</param>
    /// <returns>False when the format cannot say so (version 2 with a backing file): nothing changed.</returns>
    public bool Erase(long first, long end, bool mayUnmap, bool hasBacking)
    {
        if (hasBacking && !_layout.HasZeroFlag)
        {
            return false;
        }

        if (!hasBacking && state.Map.TableOf(first) is null)
        {
            return true;
        }

        MetadataTable table = state.Map.TableForChange(first, state.Refcounts);
        for (long cluster = first; cluster < end; cluster++)
        {
            ClusterEntry entry = state.Map.Decode(table, cluster);
            if (!mayUnmap && _layout.HasZeroFlag && entry.HostOffset != 0 && entry.IsCopied)
            {
                state.CheckData(entry.HostOffset >> _layout.ClusterBits);
                state.Map.Set(table, cluster, (ulong)entry.HostOffset | Qcow2Layout.Copied | Qcow2Layout.Zero);
                continue;
            }

            state.FreeLater(entry);
            state.Map.Set(table, cluster, hasBacking ? Qcow2Layout.Zero : 0);
        }

        return true;
    }

    /// <summary>A place for packed bytes: behind the last ones if they fit into that cluster, else in a cluster of their own.</summary>
    public long PlaceCompressed(int length)
    {
        long used = _packedAt & (_layout.ClusterSize - 1);
        if (used == 0 || used + length > _layout.ClusterSize)
        {
            (long offset, _) = state.Allocate(1, out _);
            _packedAt = offset + length;
            return offset;
        }

        long cluster = _packedAt >> _layout.ClusterBits;
        ulong references = state.Refcounts.Get(cluster);
        if (references == 0 || references == state.Layout.MostRefcount)
        {
            _packedAt = 0;
            return PlaceCompressed(length);
        }

        long place = _packedAt;
        state.Refcounts.Set(cluster, references + 1);
        _packedAt += length;
        return place;
    }

    private static bool IsReserved(ClusterEntry entry) => entry.Kind == ClusterKind.Zero && entry.HostOffset != 0 && entry.IsCopied;
}
