using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb;

/// <summary>
/// What a viewer wants and has not been sent: shared by the task that reads its messages, the one that writes updates, and whoever draws. Of bounded size.
/// Thread-safe.
/// </summary>
internal sealed class ViewerState
{
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _changed = new(0, 1);
    private PixelWriter _writer = new(PixelFormat.Rgb32);
    private RfbEncoding _encoding = RfbEncoding.Raw;
    private DirtyTiles _dirty;
    private PixelArea? _requested;
    private int _width;
    private int _height;
    private bool _followsSize;
    private bool _followsScreens;
    private bool _sizeDue;
    private bool _extendedKeysDue;
    private bool _modeChanged;
    private ushort _sizeReason;
    private ushort _sizeStatus;

    /// <summary>Begins with everything to be sent.</summary>
    public ViewerState(int width, int height)
    {
        _width = width;
        _height = height;
        _dirty = new DirtyTiles(width, height);
        _dirty.Add(new PixelArea(0, 0, width, height));
    }

    public void SetFormat(PixelFormat format)
    {
        PixelWriter writer = new(format);
        lock (_lock)
        {
            _writer = writer;
        }
    }

    public void SetEncodings(IReadOnlyList<int> encodings)
    {
        lock (_lock)
        {
            _encoding = RfbEncoding.Raw;
            for (int i = encodings.Count - 1; i >= 0; i--)
            {
                if ((RfbEncoding)encodings[i] is RfbEncoding.Raw or RfbEncoding.Hextile or RfbEncoding.Zrle)
                {
                    _encoding = (RfbEncoding)encodings[i];
                }
            }

            _followsSize = encodings.Contains((int)RfbEncoding.DesktopSize);
            bool screens = encodings.Contains((int)RfbEncoding.ExtendedDesktopSize);

            // rfbproto, ExtendedDesktopSize: the server says once that it knows it.
            _sizeDue |= screens && !_followsScreens;
            _followsScreens = screens;
            _extendedKeysDue |= encodings.Contains((int)RfbEncoding.ExtendedKeyEvent);
        }

        Signal();
    }

    public void Request(ClientMessage.UpdateRequest request)
    {
        lock (_lock)
        {
            if (!request.Incremental)
            {
                _dirty.Add(request.Area);
            }

            _requested = _requested is { } before ? Union(before, request.Area) : request.Area;
        }

        Signal();
    }

    /// <summary>Answers a wish for another size: the guest decides. rfbproto: reason 1, status 1.</summary>
    public void RefuseSize()
    {
        lock (_lock)
        {
            if (_followsScreens)
            {
                _sizeDue = true;
                _sizeReason = 1;
                _sizeStatus = 1;
            }
        }

        Signal();
    }

    public void NoteDrawn(PixelArea area)
    {
        lock (_lock)
        {
            _dirty.Add(area);
            if (_requested is null)
            {
                return;
            }
        }

        Signal();
    }

    public void NoteMode()
    {
        lock (_lock)
        {
            _modeChanged = true;
        }

        Signal();
    }

    /// <summary>Waits until <see cref="TryTake"/> may find something.</summary>
    public Task WaitAsync(CancellationToken cancellation) => _changed.WaitAsync(cancellation);

    /// <summary>Takes what is to be sent now; null when there is nothing, or the viewer has not asked.</summary>
    public PendingUpdate? TryTake(SurfaceMode mode)
    {
        lock (_lock)
        {
            if (_modeChanged)
            {
                _modeChanged = false;
                TakeMode(mode);
            }

            if (_requested is not { } requested)
            {
                return null;
            }

            bool announces = _sizeDue || _extendedKeysDue;
            if (!announces && !_dirty.Touches(requested))
            {
                return null;
            }

            PendingUpdate update = new()
            {
                Width = _width,
                Height = _height,
                SendsSize = _sizeDue && !_followsScreens,
                SendsScreens = _sizeDue && _followsScreens,
                SizeReason = _sizeReason,
                SizeStatus = _sizeStatus,
                SendsExtendedKeys = _extendedKeysDue,
                Encoding = _encoding,
                Writer = _writer,

                // After a new size the viewer asks anew.
                Areas = _sizeDue ? [] : _dirty.Take(requested),
            };
            _sizeDue = false;
            _sizeReason = 0;
            _sizeStatus = 0;
            _extendedKeysDue = false;
            _requested = null;
            return update;
        }
    }

    private void TakeMode(SurfaceMode mode)
    {
        if ((_followsSize || _followsScreens) && (mode.Width != _width || mode.Height != _height))
        {
            _width = mode.Width;
            _height = mode.Height;
            _dirty = new DirtyTiles(_width, _height);
            _sizeDue = true;
        }

        _dirty.Add(new PixelArea(0, 0, _width, _height));
    }

    private static PixelArea Union(PixelArea a, PixelArea b)
    {
        int x = Math.Min(a.X, b.X);
        int y = Math.Min(a.Y, b.Y);
        return new PixelArea(x, y, Math.Max(a.X + a.Width, b.X + b.Width) - x, Math.Max(a.Y + a.Height, b.Y + b.Height) - y);
    }

    private void Signal()
    {
        lock (_lock)
        {
            if (_changed.CurrentCount == 0)
            {
                _changed.Release();
            }
        }
    }
}
