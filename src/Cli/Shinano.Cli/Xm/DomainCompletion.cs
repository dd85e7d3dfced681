using System.CommandLine.Completions;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm;

/// <summary>Domain names for the shell's completion: only what a running xend says, quickly, and never an error.</summary>
internal static class DomainCompletion
{
    public static IEnumerable<CompletionItem> Names(XmEnvironment environment)
    {
        try
        {
            using CancellationTokenSource patience = new(TimeSpan.FromSeconds(1));
            return Task.Run(() => ReadAsync(environment, patience.Token)).GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is XendFailureException or OperationCanceledException or IOException)
        {
            return [];
        }
    }

    private static async Task<IEnumerable<CompletionItem>> ReadAsync(XmEnvironment environment, CancellationToken cancellationToken)
    {
        // A Tab key starts no daemon.
        if (!await XendStarter.IsServingAsync(environment.Paths.XendSocket, cancellationToken))
        {
            return [];
        }

        using XendClient xend = new(environment.Paths.XendSocket);
        IReadOnlyList<DomainSummary> domains = await xend.ListAsync(cancellationToken);
        return [.. domains.Where(domain => domain.Id != 0).Select(domain => new CompletionItem(domain.Name))];
    }
}
