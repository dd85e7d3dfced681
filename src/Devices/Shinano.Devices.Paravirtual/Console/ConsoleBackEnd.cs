using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Devices.Paravirtual.Console;

/// <summary>
/// The back end of a PV console: moves bytes between the guest's ring and the backlog, the log and the viewers. The ring comes and goes; what viewers type while there
/// is none waits for it.
/// </summary>
/// <remarks>
/// Source: public/io/console.h: struct xencons_interface.
/// <code>
///   0  in[1024]  (to the guest)    3072  in_cons   3076  in_prod
/// 1024 out[2048] (of the guest)    3080  out_cons  3084  out_prod
/// </code>
/// </remarks>
public sealed class ConsoleBackEnd : IAsyncDisposable
{
    private const int InputSize = 1024;
    private const int OutputSize = 2048;
    private readonly ConsoleBacklog _backlog;
    private readonly ConsoleLog? _log;
    private readonly GuestSignal _signal = new();
    private readonly SemaphoreSlim _oneWriter = new(1, 1);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private readonly byte[] _buffer = new byte[OutputSize];

    /// <summary>Held by who moves bytes, so that output keeps its order; never waited for while a vCPU waits.</summary>
    private readonly Lock _moving = new();
    private Connection? _connection;
    private bool _held;
    private long _bytesIn;
    private int _disposed;

    /// <summary>Starts, without a ring.</summary>
    /// <param name="backlog">Gets the output; completed by <see cref="DisposeAsync"/>.</param>
    /// <param name="log">Gets the output too; null for none. Disposed with this.</param>
    public ConsoleBackEnd(ConsoleBacklog backlog, ConsoleLog? log)
    {
        _backlog = backlog;
        _log = log;
        _running = Task.Run(RunAsync);
    }

    /// <summary>Bytes that the guest wrote.</summary>
    public long BytesOut => _backlog.Length;

    /// <summary>Bytes that viewers wrote to the guest.</summary>
    public long BytesIn => Volatile.Read(ref _bytesIn);

    /// <summary>Takes up a ring. Whoever notes the guest's event channel calls <see cref="GuestNotified"/>.</summary>
    /// <param name="page">The whole page, mapped for writing until <see cref="Disconnect"/> or <see cref="DisposeAsync"/>; disposed by the caller.</param>
    /// <param name="notifyGuest">Sends on the event channel; must not block.</param>
    public void Connect(IGrantedPage page, Action notifyGuest)
    {
        lock (_moving)
        {
            _connection = new Connection(
                new SharedRing(page, 0, InputSize, 3072, 3076), new SharedRing(page, InputSize, OutputSize, 3080, 3084), notifyGuest);
        }

        _signal.Set();
    }

    /// <summary>Takes what is left on the ring, a ringful at most, and touches neither ring nor event channel when it returns.</summary>
    public void Disconnect()
    {
        lock (_moving)
        {
            Drain();
            _connection = null;
        }
    }

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

    /// <summary>Writes input for the guest; completes when all is on the ring, which waits while that is full or there is none. Inputs do not mix.</summary>
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
                    if (!_held && _connection is { } connection)
                    {
                        count = connection.Input.Produce(input.Span);
                        if (count > 0)
                        {
                            connection.NotifyGuest();
                        }
                    }
                }

                if (count > 0)
                {
                    input = input[count..];
                    Interlocked.Add(ref _bytesIn, count);
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
        while (true)
        {
            bool ends = _stop.IsCancellationRequested;
            long seen = _signal.Version;
            bool moved;
            lock (_moving)
            {
                moved = Drain();
            }

            // A guest that writes without end must not keep the process from ending.
            if (ends)
            {
                return;
            }

            if (!moved)
            {
                await _signal.WaitAsync(seen, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>Takes one ringful; false when there is nothing, or nothing that makes sense.</summary>
    private bool Drain()
    {
        int count = _held || _connection is null ? 0 : _connection.Output.Peek(_buffer);
        if (count == 0)
        {
            return false;
        }

        _connection!.Output.Consume(count);
        _connection.NotifyGuest();
        _backlog.Append(_buffer.AsSpan(0, count));
        _log?.Write(_buffer.AsSpan(0, count));
        return true;
    }

    private sealed record Connection(SharedRing Input, SharedRing Output, Action NotifyGuest);
}
