using System.Collections.Concurrent;
using System.Diagnostics;
using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Devices.Paravirtual.Block;

/// <summary>
/// One ring of a disk. A loop takes requests and starts them. What the host's memory has or takes ends at once; what must wait for the host's disk runs beside the others,
/// but for barriers. What has ended is answered in batches. How much is under way is bounded.
/// </summary>
internal sealed class BlockQueue : IAsyncDisposable
{
    /// <summary>Published as feature-max-indirect-segments: requests of at most 1 MiB, whose segments fit into one page.</summary>
    public const int MaximumIndirectSegments = 256;

    /// <summary>Persistently mapped pages of a queue. Linux's back end: max_persistent_grants is 1056.</summary>
    public const int MaximumPersistent = 1056;

    private const int MaximumInFlight = 64;
    private const int MaximumBytesInFlight = 16 << 20;

    /// <summary>Requests that ended at once wait for each other's answers up to this number ...</summary>
    private const int MaximumBatch = 16;

    /// <summary>... and for this time: an interrupt costs a guest more than many requests cost us.</summary>
    private static readonly long BatchTicks = Stopwatch.Frequency / 10_000;

    /// <summary>After this time others have a turn on the thread pool.</summary>
    private static readonly long TurnTicks = Stopwatch.Frequency / 1000;

    private readonly BlockAbi _abi;
    private readonly BackRing _ring;
    private readonly IReadOnlyList<IGrantedPage> _pages;
    private readonly GrantCache _grants;
    private readonly BlockTransfer _transfer;
    private readonly BlockCounters _counters;
    private readonly Action<string> _log;
    private readonly GuestSignal _requests = new();
    private readonly GuestSignal _completions = new();
    private readonly ConcurrentQueue<(BlockRequest Request, BlockStatus Status)> _done = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _responding = new();
    private IFrontEndPort? _port;
    private Task _running = Task.CompletedTask;
    private int _inFlight;
    private int _bytesInFlight;
    private int _disposed;
    private int _unanswered;
    private long _firstUnanswered;

    /// <param name="pages">The ring; unmapped with this.</param>
    /// <param name="grants">For data; unmapped with this.</param>
    /// <exception cref="BackEndException">The ring makes no sense.</exception>
    public BlockQueue(
        BlockAbi abi, IReadOnlyList<IGrantedPage> pages, GrantCache grants, BlockMedium medium, BlockCounters counters, BlockSettings settings, Action<string> log)
    {
        _abi = abi;
        _ring = new BackRing(pages, abi.EntrySize);
        _pages = pages;
        _grants = grants;
        _counters = counters;
        _log = log;
        _transfer = new BlockTransfer(medium, grants, counters, settings);
    }

    /// <summary>Data pages that are kept mapped.</summary>
    public int PersistentPages => _grants.Count;

    /// <summary>The guest sent on the queue's event channel. Any thread; never blocks.</summary>
    public void GuestNotified() => _requests.Set();

    /// <summary>Starts to serve; requests that are there already are taken.</summary>
    public void Start(IFrontEndPort port)
    {
        _port = port;
        _running = Task.Run(RunAsync);
    }

    /// <summary>Takes no more requests, finishes those under way, closes the port and unmaps all pages.</summary>
    public async ValueTask DisposeAsync()
    {
        if (await StopAsync().ConfigureAwait(false))
        {
            _grants.Dispose();
        }
    }

    /// <summary>As <see cref="DisposeAsync"/>, but the pages that are kept for later requests stay mapped, for another queue on the same ring.</summary>
    public async Task<GrantCache> SuspendAsync()
    {
        await StopAsync().ConfigureAwait(false);
        return _grants;
    }

    private async Task<bool> StopAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return false;
        }

        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        await WaitForFewerAsync(1, int.MaxValue).ConfigureAwait(false);

        // The last one may still be pushing its answer.
        lock (_responding)
        {
            _port?.Dispose();
            foreach (IGrantedPage page in _pages)
            {
                page.Dispose();
            }
        }

        _stop.Dispose();
        return true;
    }

    private async Task RunAsync()
    {
        byte[] entry = new byte[_abi.EntrySize];
        long turn = Stopwatch.GetTimestamp();
        while (!_stop.IsCancellationRequested)
        {
            long seen = _requests.Version;
            if (_ring.TryTake(entry))
            {
                await StartAsync(_abi.Read(entry)).ConfigureAwait(false);
                long now = Stopwatch.GetTimestamp();
                if (_unanswered >= MaximumBatch || (_unanswered > 0 && now - _firstUnanswered > BatchTicks))
                {
                    AnswerBatch();
                }

                if (now - turn > TurnTicks)
                {
                    await Task.Yield();
                    turn = Stopwatch.GetTimestamp();
                }

                continue;
            }

            AnswerBatch();
            if (_ring.IsBroken)
            {
                _log("the front end broke its ring: no more requests are taken");
                return;
            }

            if (!_ring.FinalCheck())
            {
                await WaitAsync(seen).ConfigureAwait(false);
                turn = Stopwatch.GetTimestamp();
            }
        }

        AnswerBatch();
    }

    /// <summary>Waits for the guest; when the ring is full of requests under way, for an answer.</summary>
    private async Task WaitAsync(long seen)
    {
        if (_ring.Unanswered < _ring.Size)
        {
            await _requests.WaitAsync(seen, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        else
        {
            await WaitForFewerAsync((int)_ring.Size, int.MaxValue).ConfigureAwait(false);
        }
    }

    private async ValueTask StartAsync(BlockRequest request)
    {
        int bytes = request.MaximumBytes;
        if (Volatile.Read(ref _inFlight) >= MaximumInFlight)
        {
            _counters.CountFull();
        }

        await WaitForFewerAsync(request.IsBarrier ? 1 : MaximumInFlight, MaximumBytesInFlight - bytes).ConfigureAwait(false);
        ValueTask<BlockStatus> execution = ExecuteAsync(request);
        if (execution.IsCompletedSuccessfully)
        {
            _done.Enqueue((request, execution.Result));
            _firstUnanswered = _unanswered++ == 0 ? Stopwatch.GetTimestamp() : _firstUnanswered;
            return;
        }

        Interlocked.Increment(ref _inFlight);
        Interlocked.Add(ref _bytesInFlight, bytes);
        Task end = FinishAsync(request, execution, bytes);
        if (request.IsBarrier)
        {
            await end.ConfigureAwait(false);
        }
    }

    /// <summary>Waits until fewer requests, and no more bytes, are under way; or none at all.</summary>
    private async ValueTask WaitForFewerAsync(int requests, int bytes)
    {
        while (true)
        {
            long seen = _completions.Version;
            int inFlight = Volatile.Read(ref _inFlight);
            if (inFlight == 0 || (inFlight < requests && Volatile.Read(ref _bytesInFlight) <= bytes))
            {
                return;
            }

            AnswerBatch();
            await _completions.WaitAsync(seen, CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>The end of a request that did not end at once.</summary>
    private async Task FinishAsync(BlockRequest request, ValueTask<BlockStatus> execution, int bytes)
    {
        _done.Enqueue((request, await execution.ConfigureAwait(false)));
        Answer();
        Interlocked.Add(ref _bytesInFlight, -bytes);
        Interlocked.Decrement(ref _inFlight);
        _completions.Set();
    }

    private async ValueTask<BlockStatus> ExecuteAsync(BlockRequest request)
    {
        BlockStatus status = BlockStatus.Error;
        try
        {
            status = await _transfer.ExecuteAsync(request).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            // The boundary of a request: whatever it was, the guest gets an error, and the domain goes on.
            _log($"{request.Operation} at sector {request.Sector}: {(failure is IOException ? failure.Message : failure.ToString())}");
        }

        if (status == BlockStatus.Error)
        {
            _counters.CountError();
        }

        return status;
    }

    /// <summary>Answers what ended at once. Called by the loop only.</summary>
    private void AnswerBatch()
    {
        if (_unanswered > 0)
        {
            _unanswered = 0;
            Answer();
        }
    }

    /// <summary>Answers all that has ended. Whoever waits for the lock finds its answer given, and the guest is told once.</summary>
    private void Answer()
    {
        lock (_responding)
        {
            if (_done.IsEmpty)
            {
                return;
            }

            Span<byte> response = stackalloc byte[BlockAbi.ResponseSize];
            while (_done.TryDequeue(out (BlockRequest Request, BlockStatus Status) done))
            {
                BlockAbi.WriteResponse(response, done.Request, done.Status);
                _ring.Respond(response);
            }

            if (_ring.Push())
            {
                _port!.Notify();
            }
        }
    }
}
