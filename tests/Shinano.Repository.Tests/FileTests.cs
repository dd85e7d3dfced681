namespace Shinano.Repository.Tests;

/// <summary>Rules of CONTRIBUTING.md that a reader of one file cannot see broken.</summary>
public sealed class FileTests
{
    private const int MostLines = 600;

    /// <summary>Names that say nothing about what is inside.</summary>
    private static readonly string[] VagueWords = ["Common", "Util", "Utils", "Helper", "Helpers", "Manager"];

    [Fact]
    public void Files_stay_readable_in_one_sitting()
    {
        string[] long_ =
        [
            .. RepositoryTree.Sources("src")
                .Where(path => !Path.GetFileName(path).EndsWith("Table.cs", StringComparison.Ordinal))
                .Select(path => (path, lines: File.ReadLines(path).Count()))
                .Where(file => file.lines > MostLines)
                .Select(file => $"{RepositoryTree.Relative(file.path)}: {file.lines} lines"),
        ];
        Assert.Empty(long_);
    }

    [Fact]
    public void Files_are_named_for_what_they_hold()
    {
        Assert.Empty(RepositoryTree.Sources("src")
            .Where(path => VagueWords.Any(word => Path.GetFileNameWithoutExtension(path).EndsWith(word, StringComparison.Ordinal)))
            .Select(RepositoryTree.Relative));
    }

    [Fact]
    public void Every_project_is_in_the_solution()
    {
        string solution = File.ReadAllText(Path.Combine(RepositoryTree.Root, "Shinano.slnx"));
        IEnumerable<string> projects = new[] { "src", "tests", "bench" }
            .Where(folder => Directory.Exists(Path.Combine(RepositoryTree.Root, folder)))
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(RepositoryTree.Root, folder), "*.csproj", SearchOption.AllDirectories));
        Assert.All(projects, project => Assert.Contains(RepositoryTree.Relative(project), solution, StringComparison.Ordinal));
    }

    [Fact]
    public void Versions_of_packages_are_central()
    {
        foreach (string path in Directory.EnumerateFiles(RepositoryTree.Root, "*.csproj", SearchOption.AllDirectories))
        {
            string text = File.ReadAllText(path);
            Assert.False(text.Contains("Version=\"", StringComparison.Ordinal), RepositoryTree.Relative(path));
        }
    }
}
