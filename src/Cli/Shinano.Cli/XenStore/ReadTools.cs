using System.Text;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Cli.XenStore;

/// <summary>xenstore-read, xenstore-list and xenstore-exists.</summary>
internal static class ReadTools
{
    internal static async Task<int> ReadAsync(ToolArguments arguments, Stream output)
    {
        RequireOperands(arguments);
        await using XenStoreClient client = await XenStoreClient.ConnectAsync();
        return await ToolTransaction.RunAsync(client, output, arguments.Operands.Count > 1, async (transaction, text) =>
        {
            foreach (string path in arguments.Operands)
            {
                byte[] value;
                try
                {
                    value = await client.ReadAsync(path, transaction);
                }
                catch (XenStoreException)
                {
                    await Console.Error.WriteLineAsync($"xenstore-read: couldn't read path {path}");
                    return 1;
                }

                string prefix = arguments.Has('p') ? $"{path}: " : "";
                text.Write(Encoding.UTF8.GetBytes(prefix));
                text.Write(arguments.Has('R') ? value : Encoding.ASCII.GetBytes(PrintableValue.Escape(value) + "\n"));
            }

            return 0;
        });
    }

    internal static async Task<int> ListAsync(ToolArguments arguments, Stream output)
    {
        RequireOperands(arguments);
        await using XenStoreClient client = await XenStoreClient.ConnectAsync();
        return await ToolTransaction.RunAsync(client, output, isNeeded: true, async (transaction, text) =>
        {
            foreach (string path in arguments.Operands)
            {
                IReadOnlyList<string> names;
                try
                {
                    names = await client.ListAsync(path, transaction);
                }
                catch (XenStoreException)
                {
                    await Console.Error.WriteLineAsync($"xenstore-list: could not list path {path}");
                    return 1;
                }

                foreach (string name in names)
                {
                    text.Write(Encoding.UTF8.GetBytes(arguments.Has('p') ? $"{path}/{name}\n" : $"{name}\n"));
                }
            }

            return 0;
        });
    }

    internal static async Task<int> ExistsAsync(ToolArguments arguments, Stream output)
    {
        RequireOperands(arguments);
        await using XenStoreClient client = await XenStoreClient.ConnectAsync();
        return await ToolTransaction.RunAsync(client, output, isNeeded: true, async (transaction, _) =>
        {
            foreach (string path in arguments.Operands)
            {
                try
                {
                    await client.ReadAsync(path, transaction);
                }
                catch (XenStoreException)
                {
                    return 1;
                }
            }

            return 0;
        });
    }

    private static void RequireOperands(ToolArguments arguments)
    {
        if (arguments.Operands.Count == 0)
        {
            throw new ToolUsageException();
        }
    }
}
