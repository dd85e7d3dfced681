using System.ComponentModel;
using System.Diagnostics;
using Shinano.Control.Api.Domains;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Devices;

/// <summary>
/// Runs the user's scripts at hot-plug events: <c>STATE/scripts/EVENT add|remove</c>, with the environment that Xen's scripts know. A script that is not
/// there is no failure.
/// </summary>
internal sealed class HotplugEvents(ShinanoPaths paths, ILogger<HotplugEvents> logger)
{
    private const int MostMessage = 400;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Runs a script and waits for it.</summary>
    /// <param name="backPath">The back end's directory in xenstore.</param>
    /// <exception cref="DomainFailureException">It failed, or took too long.</exception>
    public async Task RunAsync(string name, string action, string kind, string backPath, CancellationToken cancellationToken)
    {
        string script = Path.Combine(paths.StateDirectory, "scripts", name);
        if (!File.Exists(script))
        {
            return;
        }

        ProcessStartInfo start = new(script, [action]) { RedirectStandardError = true, RedirectStandardInput = true, WorkingDirectory = "/" };

        // tools/hotplug/Linux/xen-backend.rules: XENBUS_PATH is relative to domain 0's home.
        start.Environment["XENBUS_PATH"] = backPath["/local/domain/0/".Length..];
        start.Environment["XENBUS_TYPE"] = kind;
        start.Environment["XENBUS_BASE_PATH"] = "backend";
        start.Environment["XENSTORED_PATH"] = paths.XenStoreServerSocket;
        try
        {
            using Process process = Process.Start(start) ?? throw new InvalidOperationException($"{script} was not started");
            process.StandardInput.Close();
            using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(Patience);
            try
            {
                Task<string> errors = process.StandardError.ReadToEndAsync(limit.Token);
                await process.WaitForExitAsync(limit.Token);
                string said = (await errors).Trim();
                if (process.ExitCode != 0)
                {
                    throw new DomainFailureException(
                        DomainFailureCode.HostResource, $"{script} {action}: exit code {process.ExitCode}: {said[..Math.Min(said.Length, MostMessage)]}");
                }
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                process.Kill(entireProcessTree: true);
                throw new DomainFailureException(DomainFailureCode.TimedOut, $"{script} {action} did not end within {Patience.TotalSeconds:0} s");
            }
        }
        catch (Win32Exception e)
        {
            logger.LogError("{Script}: {Message}", script, e.Message);
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{script} cannot be run: {e.Message}", e);
        }
    }
}
