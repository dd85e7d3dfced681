namespace Shinano.Repository;

/// <summary>The checkout that holds the running test.</summary>
internal static class RepositoryRoot
{
    /// <summary>Absolute path of the directory with Shinano.slnx.</summary>
    public static string Path { get; } = Find();

    /// <summary>A program of the tree, as it is run: built with the same configuration as the running test.</summary>
    public static string Program(string project)
    {
        string configuration = System.IO.Path.GetFileName(System.IO.Path.GetDirectoryName(System.IO.Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory))!);
        return System.IO.Path.Combine(Path, "artifacts", "programs", configuration, $"{project}.dll");
    }

    private static string Find()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(System.IO.Path.Combine(folder, "Shinano.slnx")))
        {
            folder = System.IO.Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("Shinano.slnx was not found above the test's output folder");
    }
}
