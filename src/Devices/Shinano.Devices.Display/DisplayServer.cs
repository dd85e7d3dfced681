using Shinano.Devices.Display.Input;
using Shinano.Devices.Display.Rfb;
using Shinano.Devices.Display.Rfb.Security;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display;

/// <summary>Shows one surface to any number of viewers, which share it. Thread-safe.</summary>
public sealed class DisplayServer : IDisposable
{
    private readonly IDisplaySurface _surface;
    private readonly IDisplayInput _input;
    private readonly DisplayOptions _options;
    private readonly AttemptLimit _attempts;
    private readonly Lock _lock = new();
    private readonly HashSet<ViewerSession> _viewers = [];
    private long _served;

    public DisplayServer(IDisplaySurface surface, IDisplayInput input, DisplayOptions options)
    {
        ArgumentNullException.ThrowIfNull(surface);
        ArgumentNullException.ThrowIfNull(options);
        _surface = surface;
        _input = input;
        _options = options;
        _attempts = new AttemptLimit(options.Time);
        surface.Drawn += OnDrawn;
        surface.ModeChanged += OnModeChanged;
    }

    /// <summary>Viewers connected at present.</summary>
    public int ViewerCount
    {
        get
        {
            lock (_lock)
            {
                return _viewers.Count;
            }
        }
    }

    /// <summary>Viewers that have connected so far.</summary>
    public long Served => Volatile.Read(ref _served);

    /// <summary>Speaks RFB with one viewer until it leaves, breaks the protocol, or is turned away; the stream is disposed. Does not throw.</summary>
    public async Task ServeAsync(Stream stream, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(stream);
        await using (stream.ConfigureAwait(false))
        {
            ViewerSession session = new(stream, _surface, _input, _attempts, _options);
            if (!TryAdd(session))
            {
                _options.Log($"a viewer was turned away: there are {_options.MaximumViewers}");
                return;
            }

            try
            {
                await session.RunAsync(cancellation).ConfigureAwait(false);
            }
            finally
            {
                Remove(session);
            }
        }
    }

    /// <summary>Looks at the surface no more; sessions end with their streams.</summary>
    public void Dispose()
    {
        _surface.Drawn -= OnDrawn;
        _surface.ModeChanged -= OnModeChanged;
    }

    private bool TryAdd(ViewerSession session)
    {
        lock (_lock)
        {
            if (_viewers.Count >= _options.MaximumViewers)
            {
                return false;
            }

            _viewers.Add(session);
            _served++;
            _surface.SetViewers(_viewers.Count);
            return true;
        }
    }

    private void Remove(ViewerSession session)
    {
        lock (_lock)
        {
            _viewers.Remove(session);
            _surface.SetViewers(_viewers.Count);
        }
    }

    private void OnDrawn(PixelArea area)
    {
        lock (_lock)
        {
            foreach (ViewerSession viewer in _viewers)
            {
                viewer.NoteDrawn(area);
            }
        }
    }

    private void OnModeChanged()
    {
        lock (_lock)
        {
            foreach (ViewerSession viewer in _viewers)
            {
                viewer.NoteMode();
            }
        }
    }
}
