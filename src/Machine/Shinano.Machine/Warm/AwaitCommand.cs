using System.Net.Sockets;
using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Linux;

namespace Shinano.Machine.Warm;

/// <summary>
/// <c>domain --await SOCKET</c>: a domain process that is started before there is a domain for it. It warms up, connects to xend, and becomes the domain that xend names. It ends
/// when xend does.
/// </summary>
internal static class AwaitCommand
{
    /// <returns>The process's exit code.</returns>
    public static async Task<int> RunAsync(string socketPath)
    {
        await WarmUpAsync(Path.Combine(Path.GetDirectoryName(socketPath)!, $"warm-{Environment.ProcessId}")).ConfigureAwait(false);
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        WarmOrder? order;
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath)).ConfigureAwait(false);
            order = await ReadAsync(socket).ConfigureAwait(false);
            if (order is null)
            {
                return ExitCodes.Success;
            }

            StandardOutput.MoveTo(order.LogPath);

            // The command line does not say which domain it is: ps(1), and who asks for the holder of a disk, see this.
            await File.WriteAllTextAsync("/proc/self/comm", $"domain {Path.GetFileName(Path.GetDirectoryName(order.SpecPath))}").ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or IOException or JsonException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"shinano: {socketPath}: {e.Message}").ConfigureAwait(false);
            return ExitCodes.Failure;
        }

        return await DomainCommand.RunAsync(order.SpecPath, () =>
        {
            // xend may be gone by now; the domain waits for the next one.
            using (socket)
            {
                _ = socket.Send([1], SocketFlags.None, out _);
            }
        }).ConfigureAwait(false);
    }

    /// <summary>What does not work here is found out again, and said, when there is a domain.</summary>
    private static async Task WarmUpAsync(string directory)
    {
        try
        {
            ShinanoPaths.EnsureDirectory(directory);
            await WarmUp.RunAsync(directory).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            await Console.Error.WriteLineAsync($"shinano: the process is not warm: {e}").ConfigureAwait(false);
        }
        finally
        {
            if (Directory.Exists(directory))
            {
                Directory.Delete(directory, recursive: true);
            }
        }
    }

    private static async Task<WarmOrder?> ReadAsync(Socket socket)
    {
        byte[] line = new byte[WarmOrder.MaximumSize];
        int length = 0;
        while (length == 0 || line[length - 1] != '\n')
        {
            int count = length < line.Length ? await socket.ReceiveAsync(line.AsMemory(length)).ConfigureAwait(false) : throw new IOException("an order without end");
            if (count == 0)
            {
                return null;
            }

            length += count;
        }

        return JsonSerializer.Deserialize<WarmOrder>(line.AsSpan(0, length), ControlJson.Options);
    }
}
