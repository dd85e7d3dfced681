using System.Buffers.Binary;
using Shinano.Devices.Display.Surface;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Framebuffer;

/// <summary>
/// The back end of a paravirtual framebuffer (public/io/fbif.h): the guest names pages that it draws in, and says which parts of them it drew.
/// </summary>
/// <remarks>
/// <code>
/// page-ref -> shared page -> pd[256] -> directory pages -> pages of the picture
/// </code>
/// Frames are named by their numbers, as the protocol is older than grants for it.
/// </remarks>
/// <param name="id">The device's number.</param>
/// <param name="surface">Shows the picture.</param>
/// <param name="owned">Ends with the device: what shows the surface.</param>
public sealed class FramebufferBackEnd(string id, FramebufferSurface surface, IAsyncDisposable? owned = null) : IBackEndDevice
{
    // public/io/fbif.h: struct xenfb_page.
    private const int WidthOffset = 16;
    private const int HeightOffset = 20;
    private const int LineLengthOffset = 24;
    private const int MemoryLengthOffset = 28;
    private const int DepthOffset = 32;
    private const int Directories = 256;
    private const byte TypeUpdate = 2;
    private const byte TypeResize = 3;
    private const byte TypeRefreshPeriod = 1;

    /// <summary>Advice to a guest that draws while someone looks, milliseconds.</summary>
    private const int RefreshPeriod = 40;

    /// <summary>How often a picture is taken to be drawn anew whose guest does not say so.</summary>
    private static readonly TimeSpan Polling = TimeSpan.FromMilliseconds(100);

    private readonly GuestSignal _signal = new();
    private IGrantedPage[] _pages = [];
    private IGrantedPage? _sharedPage;
    private IFrontEndPort? _port;
    private CancellationTokenSource? _stop;
    private Task _serving = Task.CompletedTask;
    private long _updates;
    private long _resizes;
    private long _refused;

    /// <inheritdoc/>
    public string Kind => "vfb";

    /// <inheritdoc/>
    public string Id => id;

    /// <inheritdoc/>
    public async Task PrepareAsync(BackEndNodes nodes, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        await nodes.PublishAsync("feature-resize", 1, cancellation).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task ConnectAsync(BackEndNodes nodes, IFrontEndDomain guest, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        ArgumentNullException.ThrowIfNull(guest);
        ulong frame = ulong.TryParse(await nodes.ReadAsync("page-ref", cancellation).ConfigureAwait(false), out ulong number)
            ? number
            : throw new BackEndException($"{nodes.FrontPath}/page-ref is missing, or no number");
        uint port = await nodes.RequireNumberAsync("event-channel", cancellation).ConfigureAwait(false);
        string? protocol = await nodes.ReadAsync("protocol", cancellation).ConfigureAwait(false);
        bool announces = await nodes.ReadFlagAsync("feature-update", cancellation).ConfigureAwait(false);
        try
        {
            _sharedPage = guest.TryMapFrame(frame, writable: true) ?? throw new BackEndException($"page-ref {frame} is no frame of the guest's");
            EventPage events = new(_sharedPage, 1024, 1024, 2048, 2048);
            int memory = events.ReadInt32(MemoryLengthOffset);
            FramebufferLayout layout = FramebufferLayout.TryCreate(
                events.ReadInt32(WidthOffset),
                events.ReadInt32(HeightOffset),
                events.ReadInt32(LineLengthOffset),
                events.ReadInt32(DepthOffset) & 0xff,
                0,
                Math.Min(memory, FramebufferLayout.MaximumMemory),
                out string? fault) ?? throw new BackEndException($"the framebuffer: {fault}");
            _pages = MapPicture(guest, events, memory, protocol == "x86_32-abi" ? sizeof(uint) : sizeof(ulong));
            _port = guest.TryBind(new EventPort(port), _signal.Set) ?? throw new BackEndException($"event-channel {port} does not wait for domain 0");
            if (announces)
            {
                await nodes.PublishAsync("request-update", 1, cancellation).ConfigureAwait(false);
            }

            surface.Show(_pages, layout);
            surface.ViewersChanged += _signal.Set;
            _stop = new CancellationTokenSource();
            _serving = Task.Run(() => ServeAsync(events, guest, announces, _stop.Token), CancellationToken.None);
        }
        catch
        {
            await DisconnectAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <inheritdoc/>
    public async Task DisconnectAsync()
    {
        surface.ViewersChanged -= _signal.Set;
        if (_stop is not null)
        {
            await _stop.CancelAsync().ConfigureAwait(false);
            await _serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _stop.Dispose();
            _stop = null;
            surface.Blank();
        }

        _port?.Dispose();
        _port = null;
        Unmap(_pages);
        _pages = [];
        _sharedPage?.Dispose();
        _sharedPage = null;
    }

    /// <inheritdoc/>
    public IReadOnlyList<DeviceCounter> ReadCounters() =>
    [
        new("updates", Volatile.Read(ref _updates)), new("resizes", Volatile.Read(ref _resizes)), new("refused", Volatile.Read(ref _refused)),
    ];

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await DisconnectAsync().ConfigureAwait(false);
        if (owned is not null)
        {
            await owned.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Maps all pages of the picture, or none.</summary>
    private static IGrantedPage[] MapPicture(IFrontEndDomain guest, EventPage events, int memory, int entrySize)
    {
        int perDirectory = EventPage.PageSize / entrySize;
        int count = (int)(((long)memory + EventPage.PageSize - 1) / EventPage.PageSize);
        if (memory > FramebufferLayout.MaximumMemory || count > Directories * perDirectory)
        {
            throw new BackEndException($"a framebuffer of {memory} bytes; {FramebufferLayout.MaximumMemory} are possible");
        }

        // One copy of the directories' frame numbers: the guest may change them meanwhile.
        int directories = (count + perDirectory - 1) / perDirectory;
        byte[] numbers = new byte[directories * entrySize];
        events.Copy((DepthOffset + 1 + entrySize - 1) & -entrySize, numbers);
        IGrantedPage[] pages = new IGrantedPage[count];
        byte[] directory = new byte[EventPage.PageSize];
        try
        {
            for (int i = 0; i < count; i++)
            {
                if (i % perDirectory == 0)
                {
                    ulong frame = Number(numbers, i / perDirectory, entrySize);
                    using IGrantedPage page = guest.TryMapFrame(frame, writable: false)
                        ?? throw new BackEndException($"directory page {i / perDirectory} of the framebuffer, frame {frame}, is not the guest's");
                    page.Bytes.Span.CopyTo(directory);
                }

                ulong picture = Number(directory, i % perDirectory, entrySize);
                pages[i] = guest.TryMapFrame(picture, writable: false)
                    ?? throw new BackEndException($"page {i} of the framebuffer, frame {picture}, is not the guest's");
            }
        }
        catch
        {
            Unmap(pages);
            throw;
        }

        return pages;
    }

    private static ulong Number(ReadOnlySpan<byte> bytes, int index, int size) => size == sizeof(uint)
        ? BinaryPrimitives.ReadUInt32LittleEndian(bytes[(index * size)..])
        : BinaryPrimitives.ReadUInt64LittleEndian(bytes[(index * size)..]);

    private static void Unmap(IGrantedPage?[] pages)
    {
        foreach (IGrantedPage? page in pages)
        {
            page?.Dispose();
        }
    }

    private async Task ServeAsync(EventPage events, IFrontEndDomain guest, bool announces, CancellationToken cancellation)
    {
        byte[] @event = new byte[EventPage.EventSize];
        bool watched = false;
        while (!cancellation.IsCancellationRequested)
        {
            long seen = _signal.Version;
            Drain(events, guest, @event);
            if (watched != surface.IsWatched)
            {
                watched = !watched;
                if (events.TryPut(TypeRefreshPeriod, [watched ? RefreshPeriod : 0]))
                {
                    _port!.Notify();
                }
            }

            Task notified = _signal.WaitAsync(seen, cancellation);
            if (announces || !watched)
            {
                await notified.ConfigureAwait(false);
            }
            else
            {
                surface.Announce(new PixelArea(0, 0, SurfaceMode.MaximumSide, SurfaceMode.MaximumSide));
                await Task.WhenAny(notified, Task.Delay(Polling, cancellation)).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Takes one ringful at most; the guest notifies after more.</summary>
    private void Drain(EventPage events, IFrontEndDomain guest, byte[] @event)
    {
        bool lost = false;
        int taken = 0;
        for (; taken < events.OutLength && events.TryTake(@event, out lost); taken++)
        {
            switch (@event[0])
            {
                case TypeUpdate:
                    Interlocked.Increment(ref _updates);
                    surface.Announce(FramebufferLayout.AreaOf(@event));
                    break;
                case TypeResize:
                    int mapped = Math.Min(_pages.Length * EventPage.PageSize, events.ReadInt32(MemoryLengthOffset));
                    if (FramebufferLayout.OfEvent(@event, mapped, out string? fault) is { } layout)
                    {
                        Interlocked.Increment(ref _resizes);
                        surface.Resize(layout);
                    }
                    else if (Interlocked.Increment(ref _refused) == 1)
                    {
                        guest.Log($"vfb/{id}: a resize was refused: {fault}");
                    }

                    break;
                default:
                    // public/io/fbif.h: unknown events are ignored.
                    break;
            }
        }

        if (taken > 0 || lost)
        {
            _port!.Notify();
        }

        if (lost)
        {
            surface.Announce(new PixelArea(0, 0, SurfaceMode.MaximumSide, SurfaceMode.MaximumSide));
        }

        if (taken == events.OutLength)
        {
            _signal.Set();
        }
    }
}
