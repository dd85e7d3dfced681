namespace Shinano.Storage.Qcow2;

/// <summary>
/// Where an image keeps its own tables. A guest's data must never be written there, or it could write itself a header that names any file of
/// the host as its backing file. Guarded by the image's gate.
/// </summary>
internal sealed class MetadataRegions(Qcow2Layout layout)
{
    private readonly HashSet<long> _tables = [];
    private (long First, long End) _l1;
    private (long First, long End) _refcountTable;

    public void SetL1(long offset, long entries) => _l1 = Span(offset, entries * 8);

    public void SetRefcountTable(long offset, long clusters) => _refcountTable = Span(offset, clusters << layout.ClusterBits);

    /// <summary>Adds an L2 table or a refcount block.</summary>
    /// <returns>False when something of the image's own is there already.</returns>
    public bool TryAdd(long offset) => !Contains(offset >> layout.ClusterBits) && _tables.Add(offset >> layout.ClusterBits);

    public bool Contains(long cluster) =>
        cluster == 0
        || (cluster >= _l1.First && cluster < _l1.End)
        || (cluster >= _refcountTable.First && cluster < _refcountTable.End)
        || _tables.Contains(cluster);

    private (long First, long End) Span(long offset, long bytes) =>
        (offset >> layout.ClusterBits, (offset >> layout.ClusterBits) + layout.ClustersOf(bytes));
}
