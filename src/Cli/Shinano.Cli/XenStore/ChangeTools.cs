using System.Text;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Cli.XenStore;

/// <summary>xenstore-write, xenstore-rm and xenstore-chmod.</summary>
internal static class ChangeTools
{
    internal static async Task<int> WriteAsync(ToolArguments arguments, Stream output)
    {
        if (arguments.Operands.Count == 0 || arguments.Operands.Count % 2 != 0)
        {
            throw new ToolUsageException();
        }

        await using XenStoreClient client = await XenStoreClient.ConnectAsync();
        return await ToolTransaction.RunAsync(client, output, arguments.Operands.Count > 2, async (transaction, _) =>
        {
            for (int i = 0; i < arguments.Operands.Count; i += 2)
            {
                string path = arguments.Operands[i];
                string text = arguments.Operands[i + 1];
                byte[] value = arguments.Has('R') ? Encoding.UTF8.GetBytes(text) : PrintableValue.Unescape(text);
                try
                {
                    await client.WriteAsync(path, value, transaction);
                }
                catch (XenStoreException)
                {
                    await Console.Error.WriteLineAsync($"xenstore-write: could not write path {path}");
                    return 1;
                }
            }

            return 0;
        });
    }

    internal static async Task<int> RemoveAsync(ToolArguments arguments, Stream output)
    {
        if (arguments.Operands.Count == 0)
        {
            throw new ToolUsageException();
        }

        await using XenStoreClient client = await XenStoreClient.ConnectAsync();
        return await ToolTransaction.RunAsync(client, output, isNeeded: true, async (transaction, _) =>
        {
            foreach (string path in arguments.Operands)
            {
                string? next = path;
                while (next is not null)
                {
                    try
                    {
                        await client.RemoveAsync(next, transaction);
                    }
                    catch (XenStoreException)
                    {
                        await Console.Error.WriteLineAsync($"xenstore-rm: could not remove path {next}");
                        return 1;
                    }

                    next = arguments.Has('t') ? await EmptyParentAsync(client, transaction, next) : null;
                }
            }

            return 0;
        });
    }

    internal static async Task<int> ChangeModeAsync(ToolArguments arguments, Stream output)
    {
        if (arguments.Operands.Count == 0)
        {
            throw new ToolUsageException();
        }

        string path = arguments.Operands[0];
        var permissions = new List<NodePermission>();
        foreach (string mode in arguments.Operands.Skip(1))
        {
            permissions.Add(NodePermission.TryParse(mode, out NodePermission permission)
                ? permission
                : throw new ToolFailureException(
                    $"Invalid permission specification: '{mode}'. It is one of n, r, w, b and a domain's number: r5"));
        }

        await using XenStoreClient client = await XenStoreClient.ConnectAsync();
        return await ToolTransaction.RunAsync(client, output, isNeeded: true, async (transaction, _) =>
        {
            if (arguments.Has('u'))
            {
                for (string above = path; above.LastIndexOf('/') > 0;)
                {
                    above = XenStorePath.Parent(above);
                    await SetAsync(client, transaction, above, permissions);
                }
            }

            await ChangeBelowAsync(client, transaction, path, permissions, arguments.Has('r'));
            return 0;
        });
    }

    // What -t also removes: a parent without children and without a value.
    private static async Task<string?> EmptyParentAsync(XenStoreClient client, uint transaction, string path)
    {
        int slash = path.LastIndexOf('/');
        if (slash <= 0)
        {
            return null;
        }

        string parent = path[..slash];
        try
        {
            return (await client.ReadAsync(parent, transaction)).Length == 0
                && (await client.ListAsync(parent, transaction)).Count == 0
                    ? parent
                    : null;
        }
        catch (XenStoreException)
        {
            return null;
        }
    }

    private static async Task ChangeBelowAsync(
        XenStoreClient client, uint transaction, string path, List<NodePermission> permissions, bool recurses)
    {
        await SetAsync(client, transaction, path, permissions);
        if (!recurses)
        {
            return;
        }

        foreach (string name in await client.ListAsync(path, transaction))
        {
            await ChangeBelowAsync(client, transaction, XenStorePath.Child(path, name), permissions, recurses);
        }
    }

    private static async Task SetAsync(XenStoreClient client, uint transaction, string path, List<NodePermission> permissions)
    {
        try
        {
            await client.SetPermissionsAsync(path, permissions, transaction);
        }
        catch (XenStoreException refused)
        {
            throw new ToolFailureException(
                $"Error occurred setting permissions on '{path}': {ToolTransaction.Describe(refused.Error)}");
        }
    }
}
