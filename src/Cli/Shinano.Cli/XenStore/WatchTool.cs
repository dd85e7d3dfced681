using System.Text;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Cli.XenStore;

/// <summary>xenstore-watch: prints the path of each event.</summary>
internal static class WatchTool
{
    internal static async Task<int> RunAsync(ToolArguments arguments, Stream output)
    {
        if (arguments.Operands.Count == 0)
        {
            throw new ToolUsageException();
        }

        await using XenStoreClient client = await XenStoreClient.ConnectAsync();
        foreach (string path in arguments.Operands)
        {
            try
            {
                await client.WatchAsync(path, path);
            }
            catch (XenStoreException)
            {
                throw new ToolFailureException($"Unable to add watch on {path}");
            }
        }

        for (int count = 0; arguments.Number is not { } maximum || count < maximum; count++)
        {
            if (!await client.Events.WaitToReadAsync())
            {
                throw new ToolFailureException("The xenstore server ended the connection.");
            }

            WatchEvent fired = await client.Events.ReadAsync();
            output.Write(Encoding.Latin1.GetBytes(fired.Path + "\n"));
            await output.FlushAsync();
        }

        return 0;
    }
}
