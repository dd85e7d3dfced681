using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Linux;

namespace Shinano.Cli.Xm;

/// <summary>A viewer of a domain's console: bytes from standard input to the guest, bytes from the guest to standard output.</summary>
internal static class ConsoleSession
{
    /// <summary>Ctrl-]: detaches, when a person types it.</summary>
    private const byte Escape = 0x1d;

    /// <summary>The end of a domain and that of its console follow each other at once.</summary>
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(2);

    /// <summary>Attaches until the console ends, the user detaches, or <paramref name="ended"/> says that the domain has ended.</summary>
    /// <param name="environment">Where the bytes come from and go.</param>
    /// <param name="socketPath">See <see cref="ConsoleSpec.SocketPath"/>.</param>
    /// <param name="ended">Completes when the domain has ended, although its console may stay (preserve).</param>
    /// <param name="endOfInput">Typed for a pipe at its end, e.g. Ctrl-D; empty for nothing.</param>
    /// <param name="cancellationToken">Detaches.</param>
    /// <returns>Whether the user detached.</returns>
    public static async Task<bool> AttachAsync(
        XmEnvironment environment, string socketPath, Task ended, byte[] endOfInput, CancellationToken cancellationToken)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellationToken);
        }
        catch (SocketException e)
        {
            // Of a domain that ended before we came there is no console, but there is an outcome.
            if (await Task.WhenAny(ended, Task.Delay(EndPatience, cancellationToken)) == ended)
            {
                return false;
            }

            throw new XendFailureException(new DomainFailure(DomainFailureCode.HostResource, $"{socketPath}: the console cannot be reached: {e.Message}"));
        }

        using Terminal? terminal = Terminal.EnterRawMode();
        TaskCompletionSource detached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        StartInput(environment, socket, isTerminal: terminal is not null, endOfInput, detached);
        Task output = CopyOutputAsync(environment, socket, cancellationToken);
        Task first = await Task.WhenAny(output, detached.Task, ended);
        if (first == ended && !cancellationToken.IsCancellationRequested)
        {
            // The rest of a console that closes follows at once; one that is kept never ends.
            await Task.WhenAny(output, Task.Delay(EndPatience, cancellationToken));
        }

        return first == detached.Task;
    }

    private static async Task CopyOutputAsync(XmEnvironment environment, Socket socket, CancellationToken cancellationToken)
    {
        using Stream output = environment.OpenOutput();
        byte[] buffer = new byte[16384];
        try
        {
            while (true)
            {
                int length = await socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);
                if (length == 0)
                {
                    return;
                }

                await output.WriteAsync(buffer.AsMemory(0, length), cancellationToken);
                await output.FlushAsync(cancellationToken);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The same as an end.
        }
    }

    /// <summary>A thread of its own: reading a terminal cannot be cancelled, and must not keep the process.</summary>
    private static void StartInput(XmEnvironment environment, Socket socket, bool isTerminal, byte[] endOfInput, TaskCompletionSource detached)
    {
        Thread thread = new(() =>
        {
            try
            {
                using Stream input = environment.OpenInput();
                byte[] buffer = new byte[4096];
                while (true)
                {
                    int length = input.Read(buffer);
                    if (length == 0)
                    {
                        socket.Send(endOfInput);
                        socket.Shutdown(SocketShutdown.Send);
                        return;
                    }

                    int escape = isTerminal ? buffer.AsSpan(0, length).IndexOf(Escape) : -1;
                    SendAll(socket, buffer.AsSpan(0, escape < 0 ? length : escape));
                    if (escape >= 0)
                    {
                        detached.TrySetResult();
                        return;
                    }
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException)
            {
                // The console has gone; the output's end says so.
            }
        })
        {
            IsBackground = true,
            Name = "console input",
        };
        thread.Start();
    }

    private static void SendAll(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[socket.Send(bytes)..];
        }
    }
}
