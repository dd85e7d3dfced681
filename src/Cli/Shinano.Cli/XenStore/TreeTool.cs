using System.Text;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Cli.XenStore;

/// <summary>xenstore-ls: the tree with values, and with -p permissions, as wide as the terminal.</summary>
internal sealed class TreeTool
{
    private const int DefaultWidth = 80;
    private const int PermissionColumn = 60;

    // Room for the shortest form of a value: ' = "..."'.
    private const int TagLength = 8;

    private readonly XenStoreClient client;
    private readonly Stream output;
    private readonly bool isFlat;
    private readonly bool showsPermissions;
    private readonly int width;
    private readonly int permissionColumn;

    private TreeTool(XenStoreClient client, Stream output, ToolArguments arguments)
    {
        this.client = client;
        this.output = output;
        isFlat = arguments.Has('f');
        showsPermissions = arguments.Has('p');
        width = isFlat ? int.MaxValue / 2 : Console.IsOutputRedirected ? DefaultWidth : Math.Max(20, Console.WindowWidth - 2);
        permissionColumn = isFlat ? 0 : Math.Min(PermissionColumn, width);
    }

    internal static async Task<int> RunAsync(ToolArguments arguments, Stream output)
    {
        await using XenStoreClient client = await XenStoreClient.ConnectAsync();
        var tool = new TreeTool(client, output, arguments);
        foreach (string path in arguments.Operands.Count == 0 ? ["/"] : arguments.Operands)
        {
            await tool.ShowAsync(path, depth: 0);
        }

        return 0;
    }

    private async Task ShowAsync(string path, int depth)
    {
        IReadOnlyList<string> names;
        try
        {
            names = await client.ListAsync(path);
        }
        catch (XenStoreException refused)
        {
            if (depth > 0 && refused.Error == XenStoreError.NotFound)
            {
                return; // It went away while we looked.
            }

            throw new ToolFailureException($"xs_directory ({path}): {ToolTransaction.Describe(refused.Error)}");
        }

        foreach (string name in names)
        {
            string child = path.EndsWith('/') ? path + name : $"{path}/{name}";
            await ShowLineAsync(child, name, depth);
            await ShowAsync(child, depth + 1);
        }
    }

    private async Task ShowLineAsync(string path, string name, int depth)
    {
        var line = new StringBuilder(isFlat ? path : new string(' ', depth) + Cut(name, width - TagLength - depth));

        // Xen's tool does not count the path of -f.
        int used = isFlat ? 0 : line.Length;
        string? value = await TryReadAsync(path);
        if (value is null)
        {
            line.Append(":\n");
        }
        else if (width < used + value.Length + TagLength)
        {
            line.Append(" = \"").Append(Cut(value, width - TagLength - used)).Append("\\...\"");
        }
        else
        {
            int before = line.Length;
            line.Append(" = \"").Append(value).Append('"');
            used += line.Length - before;
            if (showsPermissions)
            {
                line.Append(' ');
                for (used++; used < permissionColumn; used++)
                {
                    line.Append((used & 1) != 0 ? '.' : ' ');
                }
            }
        }

        if (showsPermissions)
        {
            line.Append("  (").AppendJoin(',', await client.GetPermissionsAsync(path)).Append(')');
        }

        line.Append('\n');
        output.Write(Encoding.Latin1.GetBytes(line.ToString()));
    }

    private async Task<string?> TryReadAsync(string path)
    {
        try
        {
            return PrintableValue.Escape(await client.ReadAsync(path));
        }
        catch (XenStoreException)
        {
            return null;
        }
    }

    private static string Cut(string text, int length) => text.Length <= length ? text : text[..Math.Max(0, length)];
}
