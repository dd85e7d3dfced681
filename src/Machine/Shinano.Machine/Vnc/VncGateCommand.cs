using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Linux;

namespace Shinano.Machine.Vnc;

/// <summary>
/// <c>vnc-gate ADDRESS FIRST LAST SOCKET</c>: listens on the first free display, and joins each connection with one to the unix socket. It interprets nothing.
/// </summary>
internal static class VncGateCommand
{
    /// <summary>Connections at a time; more are closed.</summary>
    public const int MaximumConnections = 32;

    private const int BufferSize = 16384;

    /// <summary>A viewer may come before the display, which is attached after the domain is built.</summary>
    private static readonly TimeSpan DisplayPatience = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan DisplayPause = TimeSpan.FromMilliseconds(50);

    public static async Task<int> RunAsync(string address, string firstDisplay, string lastDisplay, string socketPath)
    {
        if (!IPAddress.TryParse(address, out IPAddress? listen)
            || !int.TryParse(firstDisplay, NumberStyles.None, CultureInfo.InvariantCulture, out int first)
            || !int.TryParse(lastDisplay, NumberStyles.None, CultureInfo.InvariantCulture, out int last))
        {
            return ExitCodes.Usage;
        }

        Socket listener;
        try
        {
            listener = Listen(listen, first, last);
        }
        catch (SocketException e)
        {
            string place = first == last ? $"{address}:{VncSpec.FirstPort + first}" : $"{address}, every port from {VncSpec.FirstPort + first} on";
            await Console.Error.WriteLineAsync($"VNC cannot listen on {place}: {e.Message}").ConfigureAwait(false);
            return ExitCodes.Failure;
        }

        // From here on: no programs, and no network socket but those that come in.
        ProcessConfinement.ForbidNewPrivileges();
        ProcessConfinement.ForbidCoreFiles();
        SystemCallFilter.Install();
        Console.Out.WriteLine($"{VncGate.Ready}{((IPEndPoint)listener.LocalEndPoint!).Port}");
        await Console.Out.FlushAsync().ConfigureAwait(false);

        using CancellationTokenSource stop = new();
        Task accepting = AcceptAsync(listener, socketPath, stop.Token);

        // The end of the domain process is the end of its pipe.
        using Stream input = Console.OpenStandardInput();
        byte[] one = new byte[1];
        while (await input.ReadAsync(one, CancellationToken.None).ConfigureAwait(false) > 0)
        {
        }

        await stop.CancelAsync().ConfigureAwait(false);
        listener.Dispose();
        await accepting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return ExitCodes.Success;
    }

    private static Socket Listen(IPAddress address, int first, int last)
    {
        for (int display = first; ; display++)
        {
            Socket listener = new(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                listener.Bind(new IPEndPoint(address, VncSpec.FirstPort + display));
                listener.Listen(16);
                return listener;
            }
            catch (SocketException e)
            {
                listener.Dispose();
                if (e.SocketErrorCode != SocketError.AddressAlreadyInUse || display >= last)
                {
                    throw;
                }
            }
        }
    }

    private static async Task AcceptAsync(Socket listener, string socketPath, CancellationToken cancellation)
    {
        using SemaphoreSlim places = new(MaximumConnections);
        while (true)
        {
            Socket viewer;
            try
            {
                viewer = await listener.AcceptAsync(cancellation).ConfigureAwait(false);
            }
            catch (SocketException)
            {
                await Task.Delay(100, cancellation).ConfigureAwait(false);
                continue;
            }

            if (!await places.WaitAsync(0, cancellation).ConfigureAwait(false))
            {
                viewer.Dispose();
                continue;
            }

            _ = Task.Run(
                async () =>
                {
                    await JoinAsync(viewer, socketPath, cancellation).ConfigureAwait(false);
                    places.Release();
                },
                CancellationToken.None);
        }
    }

    private static async Task JoinAsync(Socket viewer, string socketPath, CancellationToken cancellation)
    {
        using CancellationTokenSource ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using (viewer)
        {
            try
            {
                viewer.NoDelay = true;
                using Socket display = await ReachAsync(socketPath, ended.Token).ConfigureAwait(false);
                Task there = CopyAsync(viewer, display, ended.Token);
                Task back = CopyAsync(display, viewer, ended.Token);
                await Task.WhenAny(there, back).ConfigureAwait(false);
                await ended.CancelAsync().ConfigureAwait(false);
                await Task.WhenAll(there, back).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException)
            {
                // One of the two is gone, or no display was attached in time.
            }
        }
    }

    /// <summary>Connects to the display, waiting for one that is not there yet.</summary>
    private static async Task<Socket> ReachAsync(string socketPath, CancellationToken cancellation)
    {
        for (long began = Stopwatch.GetTimestamp(); ; await Task.Delay(DisplayPause, cancellation).ConfigureAwait(false))
        {
            Socket display = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await display.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellation).ConfigureAwait(false);
                return display;
            }
            catch (SocketException) when (Stopwatch.GetElapsedTime(began) < DisplayPatience)
            {
                display.Dispose();
            }
            catch
            {
                display.Dispose();
                throw;
            }
        }
    }

    private static async Task CopyAsync(Socket from, Socket to, CancellationToken cancellation)
    {
        byte[] buffer = new byte[BufferSize];
        while (true)
        {
            int count = await from.ReceiveAsync(buffer, cancellation).ConfigureAwait(false);
            if (count == 0)
            {
                return;
            }

            for (int sent = 0; sent < count;)
            {
                sent += await to.SendAsync(buffer.AsMemory(sent, count - sent), cancellation).ConfigureAwait(false);
            }
        }
    }
}
