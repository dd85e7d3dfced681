using System.Net.Sockets;
using Shinano.Linux;
using Shinano.XenStore.Client;

namespace Shinano.Cli.XenStore;

/// <summary>xenstore-snoop: each request to the store with its answer, as it happens, in the columns of the classic tool.</summary>
internal static class SnoopTool
{
    private static ReadOnlySpan<byte> Header => "DOM  PID      TX     OP\n"u8;

    internal static async Task<int> RunAsync(ToolArguments arguments, Stream output)
    {
        if (arguments.Operands.Count > 0)
        {
            throw new ToolUsageException();
        }

        // Beside the socket that is used otherwise, so that XENSTORED_PATH leads to the same server.
        string directory = Path.GetDirectoryName(Path.GetFullPath(ShinanoPaths.Current.XenStoreSocket))!;
        string path = Path.Combine(directory, Path.GetFileName(ShinanoPaths.Current.XenStoreSnoopSocket));
        ShinanoPaths.CheckSocketPath(path);
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException failure)
        {
            throw new ToolFailureException($"Cannot connect to xenstore's snoop socket '{path}': {XenStoreClient.Explain(path, failure)}");
        }

        output.Write(Header);
        await output.FlushAsync();
        using var lines = new StreamReader(new NetworkStream(socket), System.Text.Encoding.Latin1);
        for (int count = 0; arguments.Number is not { } maximum || count < maximum; count++)
        {
            if (await lines.ReadLineAsync() is not { } line)
            {
                throw new ToolFailureException("The xenstore server ended the connection.");
            }

            output.Write(System.Text.Encoding.Latin1.GetBytes(line + "\n"));
            await output.FlushAsync();
        }

        return 0;
    }
}
