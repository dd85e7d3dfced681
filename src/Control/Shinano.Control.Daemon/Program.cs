using Shinano.Control.Daemon;
using Shinano.Control.Daemon.Domains;
using Shinano.Linux;

if (args is not ([] or ["--foreground"]))
{
    await Console.Error.WriteLineAsync("usage: xend   (serves until it is told to stop; places come from SHINANO_HOME or the user's directories)");
    return 2;
}

try
{
    await using XendHost? xend = await XendHost.StartAsync(ShinanoPaths.Current, CancellationToken.None);
    if (xend is null)
    {
        await Console.Error.WriteLineAsync($"another xend serves {ShinanoPaths.Current.RunDirectory}");
        return 3;
    }

    xend.KeepWarm(WarmProcesses.ConfiguredCount);
    await xend.WaitForShutdownAsync(CancellationToken.None);
    return 0;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException)
{
    await Console.Error.WriteLineAsync($"xend: {e.Message}");
    return 1;
}
