namespace Shinano.Devices.Display.Surface;

/// <summary>
/// What a viewer has not been sent yet, in tiles of 16 by 16 pixels: whatever is drawn meanwhile, it takes no more memory than the picture has tiles.
/// Not thread-safe.
/// </summary>
internal sealed class DirtyTiles
{
    /// <summary>Pixels of a tile's side.</summary>
    public const int Side = 16;

    private readonly int _width;
    private readonly int _height;
    private readonly int _columns;
    private readonly int _rows;
    private readonly bool[] _dirty;

    public DirtyTiles(int width, int height)
    {
        _width = width;
        _height = height;
        _columns = (width + Side - 1) / Side;
        _rows = (height + Side - 1) / Side;
        _dirty = new bool[_columns * _rows];
    }

    /// <summary>Adds every tile that an area touches.</summary>
    public void Add(PixelArea area)
    {
        PixelArea inside = area.ClipTo(_width, _height);
        if (inside.IsEmpty)
        {
            return;
        }

        int left = inside.X / Side;
        int right = (inside.X + inside.Width - 1) / Side;
        for (int row = inside.Y / Side; row <= (inside.Y + inside.Height - 1) / Side; row++)
        {
            _dirty.AsSpan((row * _columns) + left, right - left + 1).Fill(true);
        }
    }

    /// <summary>Whether <see cref="Take"/> would find something.</summary>
    public bool Touches(PixelArea area) => Walk(area, take: false, null);

    /// <summary>
    /// Takes what is dirty in an area as rectangles that do not overlap: runs of tiles, put together with equal runs below. Tiles that lie in the area in part only
    /// are sent in whole.
    /// </summary>
    public List<PixelArea> Take(PixelArea area)
    {
        List<PixelArea> found = [];
        Walk(area, take: true, found);
        return found;
    }

    private bool Walk(PixelArea area, bool take, List<PixelArea>? found)
    {
        PixelArea inside = area.ClipTo(_width, _height);
        if (inside.IsEmpty)
        {
            return false;
        }

        int left = inside.X / Side;
        int right = (inside.X + inside.Width - 1) / Side;

        // Index in found of the rectangle that ends at this row's top, by its first column.
        Dictionary<int, int> above = [];
        for (int row = inside.Y / Side; row <= (inside.Y + inside.Height - 1) / Side; row++)
        {
            Span<bool> tiles = _dirty.AsSpan(row * _columns, _columns);
            Dictionary<int, int> here = [];
            for (int column = left; column <= right; column++)
            {
                if (!tiles[column])
                {
                    continue;
                }

                if (!take)
                {
                    return true;
                }

                int start = column;
                while (column <= right && tiles[column])
                {
                    tiles[column++] = false;
                }

                PixelArea run = new PixelArea(start * Side, row * Side, (column - start) * Side, Side).ClipTo(_width, _height);
                if (above.TryGetValue(start, out int index) && found![index].Width == run.Width)
                {
                    found[index] = found[index] with { Height = found[index].Height + run.Height };
                }
                else
                {
                    index = found!.Count;
                    found.Add(run);
                }

                here[start] = index;
            }

            above = here;
        }

        return found is { Count: > 0 };
    }
}
