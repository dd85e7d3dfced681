using System.Diagnostics;
using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Linux;

namespace Shinano.Control.Api.Xend;

/// <summary>Reaches xend, and starts one for this user (or SHINANO_HOME) when there is none.</summary>
public static class XendStarter
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Connects to a xend of this build where one can be had; else to the one that serves.</summary>
    /// <param name="paths">Where it serves.</param>
    /// <param name="warn">Takes a sentence for the user; null for nobody.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="XendFailureException">None can be started.</exception>
    public static async Task<XendClient> ConnectAsync(ShinanoPaths paths, Action<string>? warn = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(paths);
        warn ??= _ => { };
        if (!await IsServingAsync(paths.XendSocket, cancellationToken) || await XendReplacement.EndOutdatedAsync(paths, warn, cancellationToken))
        {
            await StartAsync(paths, cancellationToken);
        }

        return new XendClient(paths.XendSocket);
    }

    /// <summary>Whether somebody listens on a socket of xend's.</summary>
    /// <exception cref="XendFailureException">The path is too long for one.</exception>
    public static async Task<bool> IsServingAsync(string socketPath, CancellationToken cancellationToken)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            ShinanoPaths.CheckSocketPath(socketPath);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellationToken);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
        catch (PathTooLongException e)
        {
            throw new XendFailureException(new DomainFailure(DomainFailureCode.HostResource, e.Message));
        }
    }

    private static async Task StartAsync(ShinanoPaths paths, CancellationToken cancellationToken)
    {
        string log = Path.Combine(paths.LogDirectory, "xend.log");
        Process process;
        try
        {
            paths.CreateAll();
            process = DetachedProcess.StartManaged(ProgramLocator.Xend, [], log);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new XendFailureException(new DomainFailure(DomainFailureCode.HostResource, $"xend cannot be started: {e.Message}"));
        }

        using (process)
        {
            Stopwatch waited = Stopwatch.StartNew();
            while (!await IsServingAsync(paths.XendSocket, cancellationToken))
            {
                // Code 3: another xm was faster; its xend serves in a moment.
                if ((process.HasExited && process.ExitCode != 3) || waited.Elapsed > Patience)
                {
                    throw new XendFailureException(new DomainFailure(
                        DomainFailureCode.HostResource, $"xend does not start: {LastLine(log)} (see {log})"));
                }

                await Task.Delay(20, cancellationToken);
            }
        }
    }

    private static string LastLine(string log)
    {
        try
        {
            return File.ReadLines(log).LastOrDefault(line => line.Trim().Length > 0) ?? "it said nothing";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }
}
