using Shinano.Devices.Display.Surface;
using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Devices.Paravirtual.Framebuffer;

/// <summary>The picture in a guest's pages; black while no front end is connected. Thread-safe.</summary>
public sealed class FramebufferSurface : IDisplaySurface
{
    private readonly Lock _lock = new();
    private IGrantedPage[] _pages = [];
    private SurfaceMode _mode = SurfaceMode.Blank;
    private int _offset;
    private int _viewers;

    /// <inheritdoc/>
    public event Action<PixelArea>? Drawn;

    /// <inheritdoc/>
    public event Action? ModeChanged;

    /// <summary>The first viewer came, or the last one went.</summary>
    public event Action? ViewersChanged;

    /// <inheritdoc/>
    public SurfaceMode Mode => Volatile.Read(ref _mode);

    /// <summary>Whether someone looks.</summary>
    public bool IsWatched => Volatile.Read(ref _viewers) > 0;

    /// <inheritdoc/>
    public void SetViewers(int count)
    {
        bool changed = (Interlocked.Exchange(ref _viewers, count) > 0) != (count > 0);
        if (changed)
        {
            ViewersChanged?.Invoke();
        }
    }

    /// <inheritdoc/>
    public bool TryCopyRow(SurfaceMode mode, int x, int y, Span<byte> destination)
    {
        ArgumentNullException.ThrowIfNull(mode);
        lock (_lock)
        {
            if (!ReferenceEquals(mode, _mode) || _pages.Length == 0)
            {
                return false;
            }

            // The layout was checked against the pages, and the pixels are inside the picture.
            int at = _offset + (y * mode.Stride) + (x * mode.Format.BytesPerPixel);
            while (!destination.IsEmpty)
            {
                Span<byte> page = _pages[at / EventPage.PageSize].Bytes.Span[(at % EventPage.PageSize)..];
                int count = Math.Min(page.Length, destination.Length);
                page[..count].CopyTo(destination);
                destination = destination[count..];
                at += count;
            }

            return true;
        }
    }

    /// <summary>Shows pages; those before are not touched any more when this returns.</summary>
    internal void Show(IGrantedPage[] pages, FramebufferLayout layout)
    {
        lock (_lock)
        {
            _pages = pages;
            _offset = layout.Offset;
            Volatile.Write(ref _mode, layout.Mode);
        }

        ModeChanged?.Invoke();
    }

    /// <summary>Shows another part of the same pages.</summary>
    internal void Resize(FramebufferLayout layout) => Show(_pages, layout);

    /// <summary>Shows black of the present size: the guest has taken its pages back.</summary>
    internal void Blank()
    {
        lock (_lock)
        {
            _pages = [];
            Volatile.Write(ref _mode, _mode with { });
        }

        ModeChanged?.Invoke();
    }

    internal void Announce(PixelArea area) => Drawn?.Invoke(area);
}
