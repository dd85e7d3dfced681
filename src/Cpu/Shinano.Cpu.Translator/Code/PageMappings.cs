namespace Shinano.Cpu.Translator;

/// <summary>
/// Numbers for "this linear page of this context is that frame". A jump between pages is only valid while the target's mapping is what it was; each vCPU
/// keeps a byte per number that says so (<see cref="NativeState.ValidMappings"/>). Under the code cache's gate, but for <see cref="MayKnow"/>.
/// </summary>
internal sealed class PageMappings
{
    private const int FilterBits = 1 << 16;

    private readonly Dictionary<(ulong Page, int Context, ulong Frame), int> _numbers = [];
    private readonly Dictionary<ulong, List<int>> _ofPage = [];
    private readonly List<(ulong Page, ulong Frame)> _mappings = [default];
    private readonly int[] _filter = new int[FilterBits / 32];

    /// <summary>A number, new or known.</summary>
    /// <returns>False when there are no more.</returns>
    public bool TryGet(ulong page, int context, ulong frame, out int number)
    {
        if (_numbers.TryGetValue((page, context, frame), out number))
        {
            return true;
        }

        if (_mappings.Count == NativeState.Mappings)
        {
            return false;
        }

        number = _mappings.Count;
        _mappings.Add((page, frame));
        _numbers.Add((page, context, frame), number);
        if (!_ofPage.TryGetValue(page, out List<int>? numbers))
        {
            _ofPage.Add(page, numbers = []);
        }

        numbers.Add(number);
        NotePage(page);
        return true;
    }

    /// <summary>The frame of a mapping.</summary>
    public ulong FrameOf(int number) => _mappings[number].Frame;

    /// <summary>Whether a number stands for a page's mapping to a frame.</summary>
    public bool Is(int number, ulong page, ulong frame) => number < _mappings.Count && _mappings[number] == (page, frame);

    /// <summary>The numbers that depend on a page.</summary>
    public IReadOnlyList<int> Of(ulong page) => _ofPage.TryGetValue(page, out List<int>? numbers) ? numbers : [];

    /// <summary>Remembers that code was translated for a linear page.</summary>
    public void NotePage(ulong page)
    {
        (int word, int bit) = FilterPlace(page);
        Interlocked.Or(ref _filter[word], bit);
    }

    /// <summary>False when no translated code has to do with a linear page. Any thread.</summary>
    public bool MayKnow(ulong page)
    {
        (int word, int bit) = FilterPlace(page);
        return (Volatile.Read(ref _filter[word]) & bit) != 0;
    }

    public void Clear()
    {
        _numbers.Clear();
        _ofPage.Clear();
        _mappings.Clear();
        _mappings.Add(default);
        Array.Clear(_filter);
    }

    private static (int Word, int Bit) FilterPlace(ulong page)
    {
        uint hash = (uint)((page * 0x9E37_79B9_7F4A_7C15UL) >> 48);
        return ((int)(hash >> 5), 1 << (int)(hash & 31));
    }
}
