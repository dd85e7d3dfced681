namespace Shinano.Devices.Display.Surface;

/// <summary>A picture in memory of our own: for tests, and what is shown while a device has none.</summary>
public sealed class MemorySurface(SurfaceMode mode) : IDisplaySurface
{
    private readonly Lock _lock = new();
    private SurfaceMode _mode = mode;
    private byte[] _bytes = new byte[mode.Stride * mode.Height];

    /// <inheritdoc/>
    public event Action<PixelArea>? Drawn;

    /// <inheritdoc/>
    public event Action? ModeChanged;

    /// <inheritdoc/>
    public SurfaceMode Mode => Volatile.Read(ref _mode);

    /// <summary>Viewers that look at present.</summary>
    public int Viewers { get; private set; }

    /// <summary>Draws: gives every pixel of an area a value.</summary>
    /// <param name="area">Inside the picture.</param>
    /// <param name="pixel">The pixel's number in the mode's format, by its place.</param>
    public void Draw(PixelArea area, Func<int, int, uint> pixel)
    {
        ArgumentNullException.ThrowIfNull(pixel);
        lock (_lock)
        {
            int size = _mode.Format.BytesPerPixel;
            for (int y = area.Y; y < area.Y + area.Height; y++)
            {
                for (int x = area.X; x < area.X + area.Width; x++)
                {
                    PixelWriter.Store(_bytes.AsSpan((y * _mode.Stride) + (x * size), size), pixel(x, y), _mode.Format.IsBigEndian);
                }
            }
        }

        Drawn?.Invoke(area);
    }

    /// <summary>Takes another geometry; the picture is black.</summary>
    public void Resize(SurfaceMode mode)
    {
        ArgumentNullException.ThrowIfNull(mode);
        lock (_lock)
        {
            _mode = mode;
            _bytes = new byte[mode.Stride * mode.Height];
        }

        ModeChanged?.Invoke();
    }

    /// <inheritdoc/>
    public bool TryCopyRow(SurfaceMode mode, int x, int y, Span<byte> destination)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(mode, _mode))
            {
                return false;
            }

            _bytes.AsSpan((y * mode.Stride) + (x * mode.Format.BytesPerPixel), destination.Length).CopyTo(destination);
            return true;
        }
    }

    /// <inheritdoc/>
    public void SetViewers(int count) => Viewers = count;
}
