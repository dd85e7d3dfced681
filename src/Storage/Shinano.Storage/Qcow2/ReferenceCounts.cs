namespace Shinano.Storage.Qcow2;

/// <summary>How often each host cluster is referred to, as a check counts it. Sparse and bounded: hostile tables could name any cluster.</summary>
internal sealed class ReferenceCounts
{
    private const int PageBits = 10;
    private const int MostPages = 1 << 17;

    private readonly Dictionary<long, uint[]> _pages = [];

    public IEnumerable<long> Clusters =>
        from page in _pages
        from index in Enumerable.Range(0, 1 << PageBits)
        where page.Value[index] > 0
        select (page.Key << PageBits) + index;

    public uint this[long cluster] => _pages.TryGetValue(cluster >> PageBits, out uint[]? page) ? page[cluster & ((1 << PageBits) - 1)] : 0;

    /// <exception cref="InvalidImageException">More clusters than are kept in memory.</exception>
    public void Add(long cluster)
    {
        if (!_pages.TryGetValue(cluster >> PageBits, out uint[]? page))
        {
            if (_pages.Count == MostPages)
            {
                throw new InvalidImageException("the image's clusters are too many, or too far apart, to be counted");
            }

            page = new uint[1 << PageBits];
            _pages.Add(cluster >> PageBits, page);
        }

        page[cluster & ((1 << PageBits) - 1)]++;
    }
}
