using System.Diagnostics.CodeAnalysis;
using System.Net.Sockets;
using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Domains;

/// <summary>
/// Domain processes that are started before there is a domain for them: the runtime's start, and the compiling of what every domain needs, are behind them. They end with this
/// xend, whatever way it ends, unless they have become a domain.
/// </summary>
internal sealed class WarmProcesses(ShinanoPaths paths, ILogger<WarmProcesses> logger) : IDisposable
{
    /// <summary>How many are kept; 0 for none.</summary>
    public const string CountVariable = "SHINANO_WARM_DOMAINS";

    private const int DefaultCount = 1;
    private const int MostProcesses = 64;

    /// <summary>A successor is not started while the domain itself starts...</summary>
    private static readonly TimeSpan PauseAfterStart = TimeSpan.FromSeconds(1);

    /// <summary>... nor while its guest boots, which has use for more than one of the host's CPUs.</summary>
    private static readonly TimeSpan PauseAfterBoot = TimeSpan.FromSeconds(8);

    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(20);

    private readonly Lock _lock = new();
    private readonly Queue<(ProcessStamp Process, Socket Socket)> _ready = [];
    private readonly Dictionary<int, ProcessStamp> _starting = [];
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private int _count;
    private int _holds;
    private bool _disposed;

    /// <summary>What <see cref="CountVariable"/> says.</summary>
    public static int ConfiguredCount =>
        int.TryParse(Environment.GetEnvironmentVariable(CountVariable), out int count) && count is >= 0 and <= MostProcesses ? count : DefaultCount;

    private string SocketPath => Path.Combine(paths.RunDirectory, "warm");

    /// <summary>Keeps so many processes from now on.</summary>
    /// <exception cref="IOException">The socket cannot be made.</exception>
    public void Begin(int count)
    {
        if (count == 0)
        {
            return;
        }

        try
        {
            File.Delete(ShinanoPaths.PrepareSocketPath(SocketPath));
            _listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
            File.SetUnixFileMode(SocketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            _listener.Listen(MostProcesses);
        }
        catch (SocketException e)
        {
            throw new IOException($"{SocketPath}: {e.Message}", e);
        }

        _count = count;
        _ = AcceptAsync();
        Refill();
    }

    /// <summary>
    /// Starts no successors until this is disposed: many domains are made at once, and warming a process up takes more of the host than starting one that is put to work.
    /// </summary>
    public IDisposable HoldBack()
    {
        lock (_lock)
        {
            _holds++;
        }

        return new Hold(this);
    }

    /// <summary>Has a process become a domain; null when none is ready.</summary>
    /// <param name="specPath">The domain's specification.</param>
    /// <param name="logPath">Where the process writes from now on.</param>
    /// <param name="boots">The guest boots: its successor is started later than after one that goes on.</param>
    /// <param name="cancellationToken">Ends the wait for the process.</param>
    /// <returns>The process, which listens on the domain's control socket, or has ended and left a failure.</returns>
    public async Task<ProcessStamp?> TryStartAsync(string specPath, string logPath, bool boots, CancellationToken cancellationToken)
    {
        while (TryTake(boots ? PauseAfterBoot : PauseAfterStart, out ProcessStamp? process, out Socket? socket))
        {
            using (socket)
            {
                try
                {
                    byte[] order = [.. JsonSerializer.SerializeToUtf8Bytes(new WarmOrder(specPath, logPath), ControlJson.Options), (byte)'\n'];
                    using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
                    limit.CancelAfter(StartPatience);
                    await socket.SendAsync(order, limit.Token);

                    // A byte, or the end: the control socket, or the failure file, is there.
                    _ = await socket.ReceiveAsync(new byte[1], limit.Token);
                    return process;
                }
                catch (SocketException e)
                {
                    logger.LogWarning("process {Process} was ready and has ended: {Message}", process.Id, e.Message);
                }
                catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
                {
                    // It has its order and may be slow: it is waited for as any other.
                    return process;
                }
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            while (_ready.TryDequeue(out (ProcessStamp Process, Socket Socket) one))
            {
                one.Socket.Dispose();
            }
        }

        _listener.Dispose();
        if (_count > 0)
        {
            File.Delete(SocketPath);
        }
    }

    private bool TryTake(TimeSpan pause, [NotNullWhen(true)] out ProcessStamp? process, [NotNullWhen(true)] out Socket? socket)
    {
        (process, socket) = (null, null);
        lock (_lock)
        {
            while (_ready.TryDequeue(out (ProcessStamp Process, Socket Socket) one))
            {
                _ = RefillLaterAsync(pause);
                if (one.Process.IsAlive())
                {
                    (process, socket) = one;
                    return true;
                }

                one.Socket.Dispose();
            }
        }

        return false;
    }

    private async Task RefillLaterAsync(TimeSpan pause)
    {
        await Task.Delay(pause);
        Refill();
    }

    private void Refill()
    {
        lock (_lock)
        {
            foreach (int dead in _starting.Where(one => !one.Value.IsAlive()).Select(one => one.Key).ToArray())
            {
                _starting.Remove(dead);
            }

            try
            {
                while (!_disposed && _holds == 0 && _ready.Count + _starting.Count < _count)
                {
                    int id = DetachedProcess.StartManaged(ProgramLocator.Machine, ["domain", "--await", SocketPath], Path.Combine(paths.LogDirectory, "warm.log")).Id;
                    if (ProcessStamp.Of(id) is { } process)
                    {
                        _starting[id] = process;
                    }
                }
            }
            catch (Exception e) when (e is IOException or InvalidOperationException or System.ComponentModel.Win32Exception)
            {
                logger.LogWarning("no process is started ahead: {Message}", e.Message);
            }
        }
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }

            lock (_lock)
            {
                // Only who was started here becomes a domain.
                PeerCredentials peer = PeerCredentials.Of(socket);
                if (!_disposed && peer.IsTrusted && _starting.Remove(peer.ProcessId, out ProcessStamp? process) && process.IsAlive())
                {
                    _ready.Enqueue((process, socket));
                }
                else
                {
                    socket.Dispose();
                }
            }
        }
    }

    private sealed class Hold(WarmProcesses processes) : IDisposable
    {
        private int _disposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _disposed, 1) == 0)
            {
                lock (processes._lock)
                {
                    processes._holds--;
                }

                _ = processes.RefillLaterAsync(PauseAfterStart);
            }
        }
    }
}
