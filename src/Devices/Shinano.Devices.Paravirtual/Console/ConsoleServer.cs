using System.Net.Sockets;
using Shinano.Linux;

namespace Shinano.Devices.Paravirtual.Console;

/// <summary>
/// The socket at which viewers attach to a console: raw bytes both ways. Each viewer is sent the backlog first, unless it is to get only what comes after it. Slow
/// viewers lose output, they delay nobody.
/// </summary>
public sealed class ConsoleServer : IAsyncDisposable
{
    /// <summary>Viewers at a time; more are turned away.</summary>
    public const int MaximumViewers = 64;

    private static readonly TimeSpan AcceptPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ProbePause = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan FarewellLimit = TimeSpan.FromSeconds(2);
    private readonly string _path;
    private readonly ConsoleBacklog _backlog;
    private readonly Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask> _input;
    private readonly bool _sendsBacklog;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly CancellationTokenSource _stopAccepting = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly HashSet<Task> _viewers = [];
    private readonly Lock _lock = new();
    private readonly Task _accepting;
    private int _disposed;

    /// <summary>Listens; a socket at which nobody listens any more is replaced, and no other file.</summary>
    /// <param name="path">The socket, mode 0600.</param>
    /// <param name="backlog">The output; its completion ends the viewers' connections.</param>
    /// <param name="input">Takes the viewers' input (<see cref="ConsoleBackEnd.WriteInputAsync"/>).</param>
    /// <param name="sendsBacklog">Viewers are sent what was there before them.</param>
    /// <exception cref="SocketException">The path is not to be had.</exception>
    /// <exception cref="ArgumentException">The path is too long for a socket.</exception>
    public ConsoleServer(string path, ConsoleBacklog backlog, Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask> input, bool sendsBacklog = true)
    {
        ShinanoPaths.CheckSocketPath(path);
        _path = path;
        _backlog = backlog;
        _input = input;
        _sendsBacklog = sendsBacklog;
        if (IsLeftOver(path))
        {
            File.Delete(path);
        }

        _listener.Bind(new UnixDomainSocketEndPoint(path));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _listener.Listen(16);
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Viewers attached at present.</summary>
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

    /// <summary>
    /// Takes no more viewers; those attached get the rest of the backlog, which has been completed, and EOF, for which they have two seconds.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _stopAccepting.CancelAsync().ConfigureAwait(false);
        await _accepting.ConfigureAwait(false);
        _listener.Dispose();
        File.Delete(_path);
        Task[] viewers;
        lock (_lock)
        {
            viewers = [.. _viewers];
        }

        _stop.CancelAfter(FarewellLimit);
        await Task.WhenAll(viewers).ConfigureAwait(false);
        _stop.Dispose();
        _stopAccepting.Dispose();
    }

    private static bool IsLeftOver(string path)
    {
        if (FileStorage.GetKind(path) != FileKind.Socket)
        {
            return false;
        }

        // Without waiting: one that has no time to accept is there, too.
        using Socket probe = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false };
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
            return false;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode == SocketError.ConnectionRefused;
        }
    }

    private async Task AcceptAsync()
    {
        while (!_stopAccepting.IsCancellationRequested)
        {
            try
            {
                Socket viewer = await _listener.AcceptAsync(_stopAccepting.Token).ConfigureAwait(false);
                Attach(viewer);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException)
            {
                // One that gave up before it was accepted, or too many open files: the next one may have more luck.
                await Task.Delay(AcceptPause, _stopAccepting.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private void Attach(Socket viewer)
    {
        lock (_lock)
        {
            if (_viewers.Count == MaximumViewers)
            {
                viewer.Dispose();
                return;
            }

            Task serving = Task.Run(() => ServeAsync(viewer));
            _viewers.Add(serving);
            serving.ContinueWith(Detach, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    private void Detach(Task serving)
    {
        lock (_lock)
        {
            _viewers.Remove(serving);
        }
    }

    private async Task ServeAsync(Socket viewer)
    {
        using CancellationTokenSource ended = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);

        // Before its input is read: what answers that is for this viewer.
        long place = _sendsBacklog ? 0 : _backlog.Length;
        Task input = ReceiveAsync(viewer, ended);
        try
        {
            await SendAsync(viewer, place, ended.Token).ConfigureAwait(false);
            viewer.Shutdown(SocketShutdown.Send);
        }
        catch (Exception failure) when (failure is SocketException or OperationCanceledException)
        {
            // The viewer went away, or did not take the rest in time.
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            await input.ConfigureAwait(false);
            viewer.Dispose();
        }
    }

    private async Task SendAsync(Socket viewer, long place, CancellationToken cancellation)
    {
        byte[] buffer = new byte[16384];
        while (await _backlog.WaitAsync(place, cancellation).ConfigureAwait(false))
        {
            Memory<byte> rest = buffer.AsMemory(0, _backlog.Read(ref place, buffer));
            while (!rest.IsEmpty)
            {
                rest = rest[await viewer.SendAsync(rest, SocketFlags.None, cancellation).ConfigureAwait(false)..];
            }
        }
    }

    /// <summary>
    /// The viewer has no more input: half-closed, and output goes on, or gone. Nothing tells the two apart but sending, for which nothing will do.
    /// </summary>
    private static async Task ProbeAsync(Socket viewer, CancellationToken cancellation)
    {
        while (true)
        {
            viewer.Send(ReadOnlySpan<byte>.Empty);
            await Task.Delay(ProbePause, cancellation).ConfigureAwait(false);
        }
    }

    private async Task ReceiveAsync(Socket viewer, CancellationTokenSource ended)
    {
        byte[] buffer = new byte[1024];
        try
        {
            while (true)
            {
                int count = await viewer.ReceiveAsync(buffer, SocketFlags.None, ended.Token).ConfigureAwait(false);
                if (count == 0)
                {
                    await ProbeAsync(viewer, ended.Token).ConfigureAwait(false);
                }

                await _input(buffer.AsMemory(0, count), ended.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // The connection has ended.
        }
        catch (SocketException)
        {
            await ended.CancelAsync().ConfigureAwait(false);
        }
    }
}
