using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Shinano.Linux;
using Shinano.Network;
using Shinano.Network.Switch;

if (args is not ["--directory", string directory])
{
    await Console.Error.WriteLineAsync("usage: Shinano.Network.Switch --directory DIRECTORY   (xend starts it)");
    return 2;
}

SwitchPaths paths = new(directory);
FileStream held;
try
{
    ShinanoPaths.EnsureDirectory(paths.Directory);
    held = new FileStream(paths.Lock, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
}
catch (IOException)
{
    // Another switch serves.
    return 0;
}

using (held)
{
    try
    {
        await using SwitchServer server = new(paths);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            server.Stop();
        });

        // No frame has been looked at yet.
        ProcessConfinement.ForbidNewPrivileges();
        ProcessConfinement.ForbidCoreFiles();
        SystemCallFilter.Install();
        await server.Ended;
        return 0;
    }
    catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException or Win32Exception)
    {
        await Console.Error.WriteLineAsync($"shinano: the switch cannot serve in {paths.Directory}: {e.Message}");
        return 1;
    }
}
