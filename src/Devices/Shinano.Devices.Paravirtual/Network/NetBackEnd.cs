using System.Globalization;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Network.Frames;
using Shinano.Network.Link;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Network;

/// <summary>A virtual network interface: the back end of Linux's xen-netfront and its kin, between the guest's rings and a vnic of the switch. Source: public/io/netif.h.</summary>
public sealed class NetBackEnd : IBackEndDevice, ILinkReceiver
{
    private const int MostMessages = 100;

    private readonly NetSettings _settings;
    private readonly NetCounters _counters = new();
    private readonly MulticastFilter _multicast = new();
    private NetQueue[] _queues = [];
    private SwitchLink? _link;
    private int _messages;

    /// <param name="settings">What it is.</param>
    public NetBackEnd(NetSettings settings) => _settings = settings;

    /// <inheritdoc/>
    public string Kind => "vif";

    /// <inheritdoc/>
    public string Id => _settings.Id;

    /// <inheritdoc/>
    public async Task PrepareAsync(BackEndNodes nodes, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        foreach (string feature in (string[])
            [
                "feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-ipv6-csum-offload", "feature-rx-copy",
                "feature-split-event-channels", "feature-multicast-control", "feature-dynamic-multicast-control",
            ])
        {
            await nodes.PublishAsync(feature, 1, cancellation).ConfigureAwait(false);
        }

        await nodes.PublishAsync("feature-rx-flip", 0, cancellation).ConfigureAwait(false);
        await nodes.PublishAsync("multi-queue-max-queues", _settings.MaximumQueues, cancellation).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task ConnectAsync(BackEndNodes nodes, IFrontEndDomain guest, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        ArgumentNullException.ThrowIfNull(guest);
        if (!await nodes.ReadFlagAsync("request-rx-copy", cancellation).ConfigureAwait(false))
        {
            throw new BackEndException("the front end does not ask for packets to be copied (request-rx-copy)");
        }

        FrontEndFeatures features = new(
            await nodes.ReadFlagAsync("feature-sg", cancellation).ConfigureAwait(false),
            await nodes.ReadFlagAsync("feature-gso-tcpv4", cancellation).ConfigureAwait(false),
            await nodes.ReadFlagAsync("feature-gso-tcpv6", cancellation).ConfigureAwait(false),
            !await nodes.ReadFlagAsync("feature-no-csum-offload", cancellation).ConfigureAwait(false),
            await nodes.ReadFlagAsync("feature-ipv6-csum-offload", cancellation).ConfigureAwait(false),
            await nodes.ReadFlagAsync("feature-rx-notify", cancellation).ConfigureAwait(false));
        uint queues = await nodes.ReadNumberAsync("multi-queue-num-queues", 1, (uint)_settings.MaximumQueues, 1, cancellation).ConfigureAwait(false);
        _multicast.Clear();
        _multicast.IsOn = await nodes.ReadFlagAsync("request-multicast-control", cancellation).ConfigureAwait(false);
        List<NetQueue> connected = [];
        try
        {
            for (int i = 0; i < queues; i++)
            {
                string prefix = queues == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"queue-{i}/");
                connected.Add(await ConnectQueueAsync(nodes, guest, features, prefix, cancellation).ConfigureAwait(false));
            }
        }
        catch
        {
            foreach (NetQueue queue in connected)
            {
                await queue.DisposeAsync().ConfigureAwait(false);
            }

            throw;
        }

        Volatile.Write(ref _queues, [.. connected]);
        SwitchLink link = new(_settings.LinkPath, _settings.Token, this, Greeting());
        Volatile.Write(ref _link, link);
        connected.ForEach(queue => queue.Open(link));
    }

    /// <inheritdoc/>
    public async Task DisconnectAsync()
    {
        // First the queues: what they wait for in the link ends with them.
        NetQueue[] queues = Volatile.Read(ref _queues);
        foreach (NetQueue queue in queues)
        {
            await queue.DisposeAsync().ConfigureAwait(false);
        }

        if (Interlocked.Exchange(ref _link, null) is { } link)
        {
            await link.DisposeAsync().ConfigureAwait(false);
        }

        Volatile.Write(ref _queues, []);
    }

    /// <inheritdoc/>
    public IReadOnlyList<DeviceCounter> ReadCounters() =>
        [.. _counters.Read(), new("queues", Volatile.Read(ref _queues).Length), new("link", Volatile.Read(ref _link) is { IsConnected: true } ? 1 : 0)];

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await DisconnectAsync().ConfigureAwait(false);

    /// <inheritdoc/>
    async ValueTask<int> ILinkReceiver.TakeAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        NetQueue[] queues = Volatile.Read(ref _queues);
        int taken = 0;
        while (true)
        {
            switch (Next(bytes[taken..], out int length, out FrameOffload offload, out MacAddress destination))
            {
                case LinkReadStatus.Malformed:
                    return -1;
                case LinkReadStatus.NeedMore:
                    foreach (NetQueue queue in queues)
                    {
                        queue.Flush();
                    }

                    return taken;
            }

            ReadOnlyMemory<byte> frame = bytes.Slice(taken + LinkFormat.HeaderSize, length);
            taken += LinkFormat.HeaderSize + length;
            if (queues.Length > 0 && _multicast.Passes(destination))
            {
                await queues[queues.Length == 1 ? 0 : FlowHash.Of(frame.Span) % queues.Length].DeliverAsync(frame, offload, cancellation).ConfigureAwait(false);
            }
        }
    }

    /// <summary>What a restored guest does not say: where it is now. As Linux's netdev_notify_peers, which a front end calls when it was told.</summary>
    private byte[] Greeting()
    {
        if (_settings.Announced is not { } address)
        {
            return [];
        }

        byte[] frame = Announcement.Of(address);
        byte[] greeting = new byte[LinkFormat.HeaderSize + frame.Length];
        LinkFormat.WriteHeader(greeting, frame.Length, default);
        frame.CopyTo(greeting.AsSpan(LinkFormat.HeaderSize));
        return greeting;
    }

    private static LinkReadStatus Next(ReadOnlyMemory<byte> bytes, out int length, out FrameOffload offload, out MacAddress destination)
    {
        ReadOnlySpan<byte> rest = bytes.Span;
        LinkReadStatus status = LinkFormat.TryRead(ref rest, out ReadOnlySpan<byte> frame, out offload);
        length = frame.Length;
        destination = frame.Length >= MacAddress.Size ? MacAddress.Read(frame) : default;
        return status;
    }

    private async Task<NetQueue> ConnectQueueAsync(
        BackEndNodes nodes, IFrontEndDomain guest, FrontEndFeatures features, string prefix, CancellationToken cancellation)
    {
        uint transmitReference = await nodes.RequireNumberAsync($"{prefix}tx-ring-ref", cancellation).ConfigureAwait(false);
        uint receiveReference = await nodes.RequireNumberAsync($"{prefix}rx-ring-ref", cancellation).ConfigureAwait(false);

        // public/io/netif.h: one channel for both rings, or one each.
        bool isSplit = await nodes.ReadAsync($"{prefix}event-channel-tx", cancellation).ConfigureAwait(false) is not null;
        uint transmitPort = await nodes.RequireNumberAsync($"{prefix}{(isSplit ? "event-channel-tx" : "event-channel")}", cancellation).ConfigureAwait(false);
        uint receivePort = isSplit ? await nodes.RequireNumberAsync($"{prefix}event-channel-rx", cancellation).ConfigureAwait(false) : transmitPort;
        IGrantedPage? transmit = null;
        IGrantedPage? receive = null;
        IFrontEndPort? first = null;
        try
        {
            transmit = Map(guest, transmitReference);
            receive = Map(guest, receiveReference);
            NetQueue queue = new(transmit, receive, guest, features, _multicast, _counters, message => Log(guest, message));
            first = Bind(guest, transmitPort, isSplit ? queue.TransmitNotified : queue.GuestNotified);
            queue.Start(first, isSplit ? Bind(guest, receivePort, queue.ReceiveNotified) : first);
            return queue;
        }
        catch
        {
            first?.Dispose();
            transmit?.Dispose();
            receive?.Dispose();
            throw;
        }
    }

    private static IGrantedPage Map(IFrontEndDomain guest, uint reference) =>
        guest.TryMap(new GrantRef(reference), writable: true) ?? throw new BackEndException($"grant {reference} of a ring is refused");

    private static IFrontEndPort Bind(IFrontEndDomain guest, uint port, Action onNotify) =>
        guest.TryBind(new EventPort(port), onNotify) ?? throw new BackEndException($"event channel {port} does not wait for domain 0");

    /// <summary>A guest that provokes errors fills no log.</summary>
    private void Log(IFrontEndDomain guest, string message)
    {
        if (Interlocked.Increment(ref _messages) <= MostMessages)
        {
            guest.Log($"vif/{Id}: {message}");
        }
    }
}
