using System.Globalization;
using Shinano.Devices.Display.Input;
using Shinano.Devices.Display.Surface;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Framebuffer;

/// <summary>
/// The back end of a paravirtual keyboard and pointer (public/io/kbdif.h). What comes while no front end is connected is lost, and what comes while
/// <see cref="MostPending"/> events wait for room on the ring.
/// </summary>
/// <param name="id">The device's number.</param>
/// <param name="input">Where viewers' input comes from, for as long as a front end is connected.</param>
public sealed class KeyboardBackEnd(string id, InputRelay input) : IBackEndDevice, IDisplayInput
{
    private const byte TypeMotion = 1;
    private const byte TypeKey = 3;
    private const byte TypePosition = 4;

    // Linux uapi, input-event-codes.h: BTN_LEFT, BTN_MIDDLE, BTN_RIGHT, in the order of RFB's bits.
    private static readonly int[] ButtonCodes = [0x110, 0x112, 0x111];

    /// <summary>Events that wait for room on the ring, at most: a pasted line or two.</summary>
    private const int MostPending = 1024;

    private readonly Lock _lock = new();
    private readonly LinkedList<InputEvent> _pending = [];
    private IGrantedPage? _page;
    private EventPage? _events;
    private IFrontEndPort? _port;
    private bool _absolute;
    private int _x;
    private int _y;
    private int _buttons;
    private long _delivered;
    private long _lost;

    /// <inheritdoc/>
    public string Kind => "vkbd";

    /// <inheritdoc/>
    public string Id => id;

    /// <inheritdoc/>
    public async Task PrepareAsync(BackEndNodes nodes, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        await nodes.PublishAsync("feature-abs-pointer", 1, cancellation).ConfigureAwait(false);

        // The range of positions, which Linux's front end reads once; larger pictures come with their resize.
        SurfaceMode mode = input.Surface.Mode;
        await nodes.PublishAsync("width", Math.Max(mode.Width, 800), cancellation).ConfigureAwait(false);
        await nodes.PublishAsync("height", Math.Max(mode.Height, 600), cancellation).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task ConnectAsync(BackEndNodes nodes, IFrontEndDomain guest, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        ArgumentNullException.ThrowIfNull(guest);
        uint port = await nodes.RequireNumberAsync("event-channel", cancellation).ConfigureAwait(false);
        bool absolute = await nodes.ReadFlagAsync("request-abs-pointer", cancellation).ConfigureAwait(false);
        IGrantedPage page = await MapAsync(nodes, guest, cancellation).ConfigureAwait(false);
        EventPage events = new(page, 1024, 2048, 3072, 1024);
        IFrontEndPort? bound = page.Bytes.Length == EventPage.PageSize ? guest.TryBind(new EventPort(port), () => OnNotify(events)) : null;
        if (bound is null)
        {
            page.Dispose();
            throw new BackEndException(page.Bytes.Length == EventPage.PageSize
                ? $"event-channel {port} does not wait for domain 0"
                : "a part of a page is granted for the ring; it needs a whole one");
        }

        lock (_lock)
        {
            _page = page;
            _events = events;
            _port = bound;
            _absolute = absolute;
            _buttons = 0;
            _pending.Clear();
        }

        input.Target = this;
    }

    /// <inheritdoc/>
    public Task DisconnectAsync()
    {
        input.Target = null;
        lock (_lock)
        {
            _events = null;
            _pending.Clear();
            _port?.Dispose();
            _port = null;
            _page?.Dispose();
            _page = null;
        }

        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public IReadOnlyList<DeviceCounter> ReadCounters() => [new("events", Volatile.Read(ref _delivered)), new("lost", Volatile.Read(ref _lost))];

    /// <inheritdoc/>
    public void Key(int code, bool isDown)
    {
        lock (_lock)
        {
            Put(new InputEvent(TypeKey, isDown, code));
            _port?.Notify();
        }
    }

    /// <inheritdoc/>
    public void Pointer(int x, int y, int buttons)
    {
        lock (_lock)
        {
            int changed = buttons ^ _buttons;
            int wheel = ((changed & buttons & 0x10) >> 4) - ((changed & buttons & 8) >> 3);
            if (_absolute)
            {
                Put(new InputEvent(TypePosition, false, x, y, wheel));
            }
            else if (x != _x || y != _y || wheel != 0)
            {
                Put(new InputEvent(TypeMotion, false, x - _x, y - _y, wheel));
            }

            for (int i = 0; i < ButtonCodes.Length; i++)
            {
                if ((changed & (1 << i)) != 0)
                {
                    Put(new InputEvent(TypeKey, ((buttons >> i) & 1) != 0, ButtonCodes[i]));
                }
            }

            _x = x;
            _y = y;
            _buttons = buttons;
            _port?.Notify();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await DisconnectAsync().ConfigureAwait(false);

    /// <summary>Newer front ends grant the page, older ones name its frame.</summary>
    private static async Task<IGrantedPage> MapAsync(BackEndNodes nodes, IFrontEndDomain guest, CancellationToken cancellation)
    {
        if (uint.TryParse(await nodes.ReadAsync("page-gref", cancellation).ConfigureAwait(false), NumberStyles.None, CultureInfo.InvariantCulture, out uint grant))
        {
            return guest.TryMap(new GrantRef(grant), writable: true) ?? throw new BackEndException($"page-gref {grant} is not granted");
        }

        return ulong.TryParse(await nodes.ReadAsync("page-ref", cancellation).ConfigureAwait(false), NumberStyles.None, CultureInfo.InvariantCulture, out ulong frame)
            ? guest.TryMapFrame(frame, writable: true) ?? throw new BackEndException($"page-ref {frame} is no frame of the guest's")
            : throw new BackEndException($"{nodes.FrontPath}/page-gref and page-ref are missing, or no numbers");
    }

    /// <summary>
    /// The guest notifies when it has taken events: there is room for those that wait. public/io/kbdif.h knows no events of the guest: whatever is there is
    /// taken and dropped.
    /// </summary>
    private void OnNotify(EventPage events)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(events, _events))
            {
                return;
            }

            if (_pending.Count > 0 && Flush())
            {
                _port?.Notify();
            }

            Span<byte> @event = stackalloc byte[EventPage.EventSize];
            for (int i = 0; i < events.OutLength && events.TryTake(@event, out _); i++)
            {
            }
        }
    }

    private void Put(InputEvent item)
    {
        if (_events is null || _pending.Count == MostPending)
        {
            Interlocked.Increment(ref _lost);
            return;
        }

        // A pointer's way is not worth the room: its last place is.
        if (item is { Type: TypePosition, C: 0 } && _pending.Last is { Value: { Type: TypePosition, C: 0 } })
        {
            _pending.RemoveLast();
        }

        _pending.AddLast(item);
        Flush();
    }

    /// <summary>Puts on the ring what there is room for, at most a ringful; false when there is none.</summary>
    private bool Flush()
    {
        bool any = false;
        for (int i = 0; i < _events!.InLength && _pending.First is { Value: var item } && _events.TryPut(item.Type, [item.A, item.B, item.C], item.IsDown ? (byte)1 : (byte)0); i++)
        {
            _pending.RemoveFirst();
            Interlocked.Increment(ref _delivered);
            any = true;
        }

        return any;
    }

    /// <param name="Type">XENKBD_TYPE_*.</param>
    /// <param name="IsDown">Of a key.</param>
    /// <param name="A">A key's code, or x; then y and the wheel.</param>
    private readonly record struct InputEvent(byte Type, bool IsDown, int A, int B = 0, int C = 0);
}
