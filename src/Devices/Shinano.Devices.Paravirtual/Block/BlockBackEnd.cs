using System.Globalization;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Storage;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Block;

/// <summary>A virtual disk or CD drive: the back end of Linux's xen-blkfront and its kin. Source: public/io/blkif.h.</summary>
public sealed class BlockBackEnd : IBackEndDevice
{
    /// <summary>Published as max-ring-page-order: 16 pages, 512 requests. Linux: XENBUS_MAX_RING_GRANT_ORDER.</summary>
    private const uint MaximumRingOrder = 4;

    // public/io/blkif.h: VDISK_CDROM, VDISK_REMOVABLE, VDISK_READONLY.
    private const int CdromFlag = 1;
    private const int RemovableFlag = 2;
    private const int ReadOnlyFlag = 4;

    private const int MostMessages = 100;

    private readonly BlockSettings _settings;
    private readonly BlockCounters _counters = new();
    private readonly BlockMedium _medium;
    private readonly SemaphoreSlim _oneChange = new(1, 1);
    private Func<CancellationToken, ValueTask<IBlockImage?>> _open;
    private readonly Dictionary<string, GrantCache> _kept = [];
    private IReadOnlyList<KeptGrants> _inherited;
    private (string Name, BlockQueue Queue)[] _queues = [];
    private BackEndNodes? _connected;
    private int _messages;

    private BlockBackEnd(BlockSettings settings, IBlockImage? image, Func<CancellationToken, ValueTask<IBlockImage?>> open)
    {
        _settings = settings;
        _medium = new BlockMedium(image);
        _open = open;
        _inherited = settings.Inherited;
    }

    /// <inheritdoc/>
    public string Kind => "vbd";

    /// <inheritdoc/>
    public string Id => _settings.Id;

    /// <summary>Makes a disk of an image.</summary>
    /// <param name="open">Opens the image, null for a drive without a medium; called again after a change that failed.</param>
    /// <exception cref="IOException">The image cannot be opened.</exception>
    public static async Task<BlockBackEnd> CreateAsync(
        BlockSettings settings, Func<CancellationToken, ValueTask<IBlockImage?>> open, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(open);
        return new BlockBackEnd(settings, await open(cancellation).ConfigureAwait(false), open);
    }

    /// <summary>Closes the image and opens it, or another one, and tells the guest the size. The old one stays when that fails.</summary>
    /// <exception cref="IOException">The new one cannot be opened.</exception>
    public async Task ReplaceAsync(Func<CancellationToken, ValueTask<IBlockImage?>> open, CancellationToken cancellation)
    {
        await _oneChange.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            // It was about the image that goes.
            await _medium.SetWorkAsync(null).ConfigureAwait(false);
            Work = null;
            await _medium.ReplaceAsync(() => open(cancellation), () => _open(CancellationToken.None)).ConfigureAwait(false);
            _open = open;
            if (_connected is { } nodes)
            {
                // Linux's front end looks at the size anew when the state is written, the same or not.
                await nodes.PublishAsync("sectors", _medium.Sectors, cancellation).ConfigureAwait(false);
                await nodes.PublishAsync("state", (int)XenbusState.Connected, cancellation).ConfigureAwait(false);
            }
        }
        finally
        {
            _oneChange.Release();
        }
    }

    /// <summary>What was started last; null when it was stopped, or nothing was.</summary>
    public IBlockWork? Work { get; private set; }

    /// <summary>Begins long work over the image while requests go on. Earlier work is stopped. It is interrupted while the image is closed, and stays behind when the domain goes elsewhere.</summary>
    /// <param name="work">Null stops what there is, and waits for that.</param>
    public async Task StartAsync(IBlockWork? work, CancellationToken cancellation)
    {
        await _oneChange.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            await _medium.SetWorkAsync(work).ConfigureAwait(false);
            Work = work;
        }
        finally
        {
            _oneChange.Release();
        }
    }

    /// <summary>Closes the image, durably, has something done to it, and opens it as at first, while requests wait. It is opened again when that fails, too.</summary>
    /// <exception cref="IOException">What <paramref name="whileClosed"/> said, or it cannot be opened.</exception>
    public async Task ReopenAsync(Func<CancellationToken, Task> whileClosed, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(whileClosed);
        await _oneChange.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            await _medium.ReplaceAsync(
                async () =>
                {
                    await whileClosed(cancellation).ConfigureAwait(false);
                    return await _open(CancellationToken.None).ConfigureAwait(false);
                },
                () => _open(CancellationToken.None)).ConfigureAwait(false);
        }
        finally
        {
            _oneChange.Release();
        }
    }

    /// <inheritdoc/>
    public async Task PrepareAsync(BackEndNodes nodes, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        await nodes.PublishAsync("feature-persistent", 1, cancellation).ConfigureAwait(false);
        await nodes.PublishAsync("feature-max-indirect-segments", BlockQueue.MaximumIndirectSegments, cancellation).ConfigureAwait(false);
        await nodes.PublishAsync("feature-flush-cache", 1, cancellation).ConfigureAwait(false);
        await nodes.PublishAsync("feature-barrier", 1, cancellation).ConfigureAwait(false);
        await nodes.PublishAsync("max-ring-page-order", MaximumRingOrder, cancellation).ConfigureAwait(false);
        await nodes.PublishAsync("multi-queue-max-queues", _settings.MaximumQueues, cancellation).ConfigureAwait(false);
        if (_settings.Discard)
        {
            await nodes.PublishAsync("feature-discard", 1, cancellation).ConfigureAwait(false);
            await nodes.PublishAsync("discard-granularity", 4096, cancellation).ConfigureAwait(false);
            await nodes.PublishAsync("discard-alignment", 0, cancellation).ConfigureAwait(false);
            await nodes.PublishAsync("discard-secure", 0, cancellation).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async Task ConnectAsync(BackEndNodes nodes, IFrontEndDomain guest, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        string? protocol = await nodes.ReadAsync("protocol", cancellation).ConfigureAwait(false);
        BlockAbi abi = BlockAbi.Of(protocol) ?? throw new BackEndException("the front end's protocol is none of x86_64-abi, x86_32-abi");
        bool isPersistent = await nodes.ReadFlagAsync("feature-persistent", cancellation).ConfigureAwait(false);
        uint queues = await nodes.ReadNumberAsync("multi-queue-num-queues", 1, (uint)_settings.MaximumQueues, 1, cancellation).ConfigureAwait(false);
        uint? order = await nodes.ReadAsync("ring-page-order", cancellation).ConfigureAwait(false) is null
            ? null
            : await nodes.ReadNumberAsync("ring-page-order", 0, MaximumRingOrder, 0, cancellation).ConfigureAwait(false);
        List<(string Name, BlockQueue Queue)> connected = [];
        try
        {
            for (int i = 0; i < queues; i++)
            {
                string prefix = queues == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"queue-{i}/");
                connected.Add((prefix, await ConnectQueueAsync(nodes, guest, abi, isPersistent, prefix, order, cancellation).ConfigureAwait(false)));
            }

            await nodes.PublishAsync("sectors", _medium.Sectors, cancellation).ConfigureAwait(false);
            await nodes.PublishAsync("info", Info, cancellation).ConfigureAwait(false);
            await nodes.PublishAsync("sector-size", BlockSegment.SectorSize, cancellation).ConfigureAwait(false);
            await nodes.PublishAsync("physical-sector-size", 4096, cancellation).ConfigureAwait(false);
        }
        catch
        {
            foreach ((_, BlockQueue queue) in connected)
            {
                await queue.DisposeAsync().ConfigureAwait(false);
            }

            throw;
        }

        // Of queues that the front end has no more, if any.
        DropKept();
        Volatile.Write(ref _queues, [.. connected]);
        Volatile.Write(ref _connected, nodes);
    }

    /// <inheritdoc/>
    public async Task DisconnectAsync()
    {
        Volatile.Write(ref _connected, null);
        foreach ((_, BlockQueue queue) in Interlocked.Exchange(ref _queues, []))
        {
            await queue.DisposeAsync().ConfigureAwait(false);
        }

        DropKept();
    }

    /// <inheritdoc/>
    public async Task SuspendAsync()
    {
        Volatile.Write(ref _connected, null);
        foreach ((string name, BlockQueue queue) in Interlocked.Exchange(ref _queues, []))
        {
            _kept[name] = await queue.SuspendAsync().ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async Task LetGoOfHostAsync()
    {
        await _oneChange.WaitAsync().ConfigureAwait(false);
        try
        {
            await _medium.CloseAsync().ConfigureAwait(false);
        }
        finally
        {
            _oneChange.Release();
        }
    }

    /// <inheritdoc/>
    public async Task TakeUpHostAsync()
    {
        await _oneChange.WaitAsync().ConfigureAwait(false);
        try
        {
            await _medium.OpenAsync(() => _open(CancellationToken.None)).ConfigureAwait(false);
        }
        finally
        {
            _oneChange.Release();
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<KeptGrants> DescribeKept() => [.. _kept.Select(one => new KeptGrants(one.Key, one.Value.References)).Where(one => one.References.Count > 0)];

    /// <inheritdoc/>
    public IReadOnlyList<DeviceCounter> ReadCounters()
    {
        (string Name, BlockQueue Queue)[] queues = Volatile.Read(ref _queues);
        return [.. _counters.Read(), new("queues", queues.Length), new("persistent_gnts", queues.Sum(one => one.Queue.PersistentPages))];
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await DisconnectAsync().ConfigureAwait(false);
        await _medium.DisposeAsync().ConfigureAwait(false);
    }

    private int Info => (_settings.IsCdrom ? CdromFlag | RemovableFlag : 0) | (_settings.ReadOnly ? ReadOnlyFlag : 0);

    private async Task<BlockQueue> ConnectQueueAsync(
        BackEndNodes nodes, IFrontEndDomain guest, BlockAbi abi, bool isPersistent, string prefix, uint? order, CancellationToken cancellation)
    {
        uint port = await nodes.RequireNumberAsync($"{prefix}event-channel", cancellation).ConfigureAwait(false);
        List<uint> references = [];
        for (int i = 0; i < 1 << (int)(order ?? 0); i++)
        {
            string name = order is null ? $"{prefix}ring-ref" : string.Create(CultureInfo.InvariantCulture, $"{prefix}ring-ref{i}");
            references.Add(await nodes.RequireNumberAsync(name, cancellation).ConfigureAwait(false));
        }

        List<IGrantedPage> pages = [];
        GrantCache grants = GrantsOf(prefix, guest, isPersistent);
        try
        {
            foreach (uint reference in references)
            {
                pages.Add(guest.TryMap(new GrantRef(reference), writable: true) ?? throw new BackEndException($"grant {reference} of the ring is refused"));
            }

            BlockQueue queue = new(abi, pages, grants, _medium, _counters, _settings, message => Log(guest, message));
            IFrontEndPort bound = guest.TryBind(new EventPort(port), queue.GuestNotified)
                ?? throw new BackEndException($"event channel {port} does not wait for domain 0");
            queue.Start(bound);
            return queue;
        }
        catch
        {
            pages.ForEach(page => page.Dispose());
            grants.Dispose();
            throw;
        }
    }

    /// <summary>Pages that were kept over a suspension, here or where the domain was saved, or none.</summary>
    private GrantCache GrantsOf(string queue, IFrontEndDomain guest, bool isPersistent)
    {
        if (_kept.Remove(queue, out GrantCache? kept))
        {
            return kept;
        }

        GrantCache grants = new(guest, isPersistent, BlockQueue.MaximumPersistent);
        grants.TakeOver(_inherited.Where(one => one.Queue == queue).SelectMany(one => one.References));
        _inherited = [.. _inherited.Where(one => one.Queue != queue)];
        return grants;
    }

    private void DropKept()
    {
        foreach (GrantCache grants in _kept.Values)
        {
            grants.Dispose();
        }

        _kept.Clear();
    }

    /// <summary>A guest that provokes errors fills no log.</summary>
    private void Log(IFrontEndDomain guest, string message)
    {
        if (Interlocked.Increment(ref _messages) <= MostMessages)
        {
            guest.Log($"vbd/{Id}: {message}");
        }
    }
}
