using System.Runtime.InteropServices;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Cli.XenStore;

/// <summary>Runs a tool's requests in a transaction where Xen's tools do, again and again while it conflicts.</summary>
internal static class ToolTransaction
{
    /// <param name="isNeeded">False: the body runs with transaction id 0.</param>
    /// <param name="body">Gets the transaction's id and a buffer for output, which is printed only when the transaction is through.</param>
    internal static async Task<int> RunAsync(
        XenStoreClient client, Stream output, bool isNeeded, Func<uint, MemoryStream, Task<int>> body)
    {
        while (true)
        {
            using var text = new MemoryStream();
            uint transaction = isNeeded ? await client.StartTransactionAsync() : 0;
            int exitCode = await body(transaction, text);
            if (transaction != 0 && !await client.EndTransactionAsync(transaction, commit: exitCode == 0) && exitCode == 0)
            {
                continue;
            }

            text.WriteTo(output);
            return exitCode;
        }
    }

    /// <summary>The text of strerror(3), as Xen's tools show errors.</summary>
    internal static string Describe(XenStoreError error) => Marshal.GetPInvokeErrorMessage((int)error);
}
