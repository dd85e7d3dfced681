using Shinano.Memory;

namespace Shinano.Devices.Paravirtual.Console;

/// <summary>The back end of a PV console: moves bytes between the guest's ring and the backlog, the log and the viewers.</summary>
/// <remarks>
/// Source: public/io/console.h: struct xencons_interface.
/// <code>
///   0  in[1024]  (to the guest)    3072  in_cons   3076  in_prod
/// 1024 out[2048] (of the guest)    3080  out_cons  3084  out_prod
/// </code>
/// </remarks>
public sealed class ConsoleBackEnd : IAsyncDisposable
{
    private const int OutputSize = 2048;
    private readonly SharedRing _input;
    private readonly SharedRing _output;
    private readonly Action _notifyGuest;
    private readonly ConsoleBacklog _backlog;
    private readonly ConsoleLog? _log;
    private readonly GuestSignal _signal = new();
    private readonly SemaphoreSlim _oneWriter = new(1, 1);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private readonly Lock _moving = new();
    private bool _held;
    private long _bytesIn;
    private int _disposed;

    /// <summary>Starts. Whoever notes the guest's event channel calls <see cref="GuestNotified"/>.</summary>
    /// <param name="memory">The guest's.</param>
    /// <param name="ringFrame">Frame of the ring's page, which the caller keeps from leaving the domain.</param>
    /// <param name="notifyGuest">Sends on the event channel; must not block.</param>
    /// <param name="backlog">Gets the output; completed by <see cref="DisposeAsync"/>.</param>
    /// <param name="log">Gets the output too; null for none. Disposed with this.</param>
    public ConsoleBackEnd(GuestMemory memory, ulong ringFrame, Action notifyGuest, ConsoleBacklog backlog, ConsoleLog? log)
    {
        _input = new SharedRing(memory, ringFrame, 0, 1024, 3072, 3076);
        _output = new SharedRing(memory, ringFrame, 1024, OutputSize, 3080, 3084);
        _notifyGuest = notifyGuest;
        _backlog = backlog;
        _log = log;
        _running = Task.Run(RunAsync);
    }

    /// <summary>Bytes that the guest wrote.</summary>
    public long BytesOut => _backlog.Length;

    /// <summary>Bytes that viewers wrote to the guest.</summary>
    public long BytesIn => Volatile.Read(ref _bytesIn);

    /// <summary>The guest sent on the console's event channel. Any thread; never blocks.</summary>
    public void GuestNotified() => _signal.Set();

    /// <summary>Stops to move anything, so that the ring keeps still, or goes on. The guest executes nothing. Any thread.</summary>
    public void Hold(bool held)
    {
        lock (_moving)
        {
            _held = held;
        }

        _signal.Set();
    }

    /// <summary>Writes input for the guest; completes when all is on the ring, which waits while that is full. Inputs do not mix.</summary>
    public async ValueTask WriteInputAsync(ReadOnlyMemory<byte> input, CancellationToken cancellation)
    {
        await _oneWriter.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            while (!input.IsEmpty)
            {
                long seen = _signal.Version;
                int count = 0;
                lock (_moving)
                {
                    count = _held ? 0 : _input.Produce(input.Span);
                }

                if (count > 0)
                {
                    input = input[count..];
                    Interlocked.Add(ref _bytesIn, count);
                    _notifyGuest();
                }
                else
                {
                    await _signal.WaitAsync(seen, cancellation).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            _oneWriter.Release();
        }
    }

    /// <summary>Takes what is left on the ring, ends the backlog and closes the log. The guest executes no more.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        _backlog.Complete();
        _log?.Dispose();
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        byte[] buffer = new byte[OutputSize];
        while (true)
        {
            bool ends = _stop.IsCancellationRequested;
            long seen = _signal.Version;
            if (Drain(buffer))
            {
                // A guest that writes without end must not keep the process from ending.
                if (!ends)
                {
                    continue;
                }
            }

            if (ends)
            {
                return;
            }

            await _signal.WaitAsync(seen, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Takes one ringful; false when there is nothing, or nothing that makes sense.</summary>
    private bool Drain(byte[] buffer)
    {
        int count = 0;
        lock (_moving)
        {
            count = _held ? 0 : _output.Peek(buffer);
            if (count == 0)
            {
                return false;
            }

            _output.Consume(count);
        }

        _notifyGuest();
        _backlog.Append(buffer.AsSpan(0, count));
        _log?.Write(buffer.AsSpan(0, count));
        return true;
    }
}
