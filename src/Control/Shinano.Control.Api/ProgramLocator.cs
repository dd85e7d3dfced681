namespace Shinano.Control.Api;

/// <summary>Finds our other programs: named by an environment variable, beside this one, or in the source tree this one was built in.</summary>
public static class ProgramLocator
{
    /// <summary>Names the domain process's program; tests put a double here.</summary>
    public const string MachineVariable = "SHINANO_MACHINE";

    /// <summary>Names xend's program.</summary>
    public const string XendVariable = "SHINANO_XEND";

    /// <summary>Names the switch's program.</summary>
    public const string SwitchVariable = "SHINANO_SWITCH";

    public static string Machine => Find(MachineVariable, "Shinano.Machine");

    public static string Xend => Find(XendVariable, "Shinano.Control.Daemon");

    public static string Switch => Find(SwitchVariable, "Shinano.Network.Switch");

    /// <summary>The dotnet host this process runs under, so that children use the same one.</summary>
    public static string DotnetHost =>
        Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path
        : Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host
        : Environment.GetEnvironmentVariable("DOTNET_ROOT") is { Length: > 0 } root ? Path.Combine(root, "dotnet")
        : "dotnet";

    private static string Find(string variable, string project)
    {
        if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } named)
        {
            return Path.GetFullPath(named);
        }

        // Installed, and in the source tree's artifacts/programs/CONFIGURATION: beside this one.
        string own = Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory);
        List<string> candidates = [Path.Combine(own, $"{project}.dll")];
        string configuration = Path.GetFileName(Path.GetDirectoryName(own) ?? "");
        for (DirectoryInfo? directory = new(own); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "Shinano.slnx")))
            {
                candidates.Add(Path.Combine(directory.FullName, "artifacts", "programs", configuration, $"{project}.dll"));
                break;
            }
        }

        return candidates.Where(File.Exists).Select(Path.GetFullPath).FirstOrDefault()
            ?? throw new FileNotFoundException(
                $"{project}.dll is not built: looked at {string.Join(", ", candidates)}. The launchers in bin/ build it; {variable} names another place.");
    }
}
