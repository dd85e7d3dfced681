using System.Numerics;

namespace Shinano.Linux;

/// <summary>A set of pages of 4096 bytes of a memory file, one bit each.</summary>
internal sealed class PageSet(long bytes)
{
    public const int PageSize = 4096;

    private const int WordBits = 64;
    private readonly ulong[] _words = new ulong[((bytes / PageSize) + WordBits - 1) / WordBits];

    public long Count => _words.Sum(word => (long)BitOperations.PopCount(word));

    public void Add(long page) => _words[page / WordBits] |= 1UL << (int)(page % WordBits);

    /// <summary>Adds the pages that a range of bytes touches; the end is outside.</summary>
    public void AddBytes(long start, long end)
    {
        for (long page = start / PageSize; page * PageSize < end; page++)
        {
            Add(page);
        }
    }

    /// <summary>The runs of pages in ascending order: offset of the first byte and the one behind the last.</summary>
    public IEnumerable<(long Start, long End)> Runs()
    {
        long pages = (long)_words.Length * WordBits;
        for (long page = 0; page < pages;)
        {
            page = Next(page, wanted: true);
            if (page >= pages)
            {
                yield break;
            }

            long end = Next(page, wanted: false);
            yield return (page * PageSize, end * PageSize);
            page = end;
        }
    }

    private long Next(long page, bool wanted)
    {
        for (long index = page / WordBits; index < _words.Length; index++)
        {
            ulong word = (wanted ? _words[index] : ~_words[index]) & (index == page / WordBits ? ulong.MaxValue << (int)(page % WordBits) : ulong.MaxValue);
            if (word != 0)
            {
                return (index * WordBits) + BitOperations.TrailingZeroCount(word);
            }
        }

        return (long)_words.Length * WordBits;
    }
}
