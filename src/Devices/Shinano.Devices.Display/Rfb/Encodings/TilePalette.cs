namespace Shinano.Devices.Display.Rfb.Encodings;

/// <summary>The different colours of a tile, as far as they are few, and how many runs of equal pixels it has.</summary>
internal sealed class TilePalette
{
    /// <summary>Colours that are told apart: as many as ZRLE's palettes have (RFC 6143 §7.7.6).</summary>
    public const int Most = 127;

    private readonly Dictionary<uint, int> _indices = new(Most + 1);
    private readonly uint[] _colours = new uint[Most];
    private int _lastIndex;
    private uint _lastColour;

    /// <summary>Colours found; <see cref="Most"/> + 1 when there are more.</summary>
    public int Count { get; private set; }

    /// <summary>Runs of equal pixels, from the first pixel to the last.</summary>
    public int Runs { get; private set; }

    /// <summary>The colours, in the order of their first pixels.</summary>
    public ReadOnlySpan<uint> Colours => _colours.AsSpan(0, Math.Min(Count, Most));

    /// <summary>The colour of which the tile has the most runs: a background.</summary>
    public uint Prevalent { get; private set; }

    public void Read(ReadOnlySpan<uint> tile)
    {
        Span<int> uses = stackalloc int[Most + 1];
        _indices.Clear();
        Count = 0;
        Runs = 0;
        uint previous = ~tile[0];
        foreach (uint pixel in tile)
        {
            if (pixel == previous)
            {
                continue;
            }

            Runs++;
            previous = pixel;
            if (_indices.TryGetValue(pixel, out int index))
            {
                uses[index]++;
            }
            else if (Count < Most)
            {
                _indices.Add(pixel, Count);
                _colours[Count] = pixel;
                uses[Count++] = 1;
            }
            else
            {
                Count = Most + 1;
            }
        }

        int best = 0;
        for (int i = 1; i < Math.Min(Count, Most); i++)
        {
            best = uses[i] > uses[best] ? i : best;
        }

        Prevalent = _colours[best];
        _lastIndex = 0;
        _lastColour = _colours[0];
    }

    /// <summary>The colour's place in <see cref="Colours"/>; there are no more than <see cref="Most"/>.</summary>
    public int IndexOf(uint colour)
    {
        if (colour != _lastColour)
        {
            _lastColour = colour;
            _lastIndex = _indices[colour];
        }

        return _lastIndex;
    }
}
