using System.Xml.Linq;

namespace Shinano.Repository.Tests;

/// <summary>The checkout that holds this test, read as text.</summary>
internal static class RepositoryTree
{
    public static string Root => RepositoryRoot.Path;

    /// <summary>Projects under src: name, group folder, names of projects referred to, path.</summary>
    public static IReadOnlyList<Project> Projects { get; } =
        [.. Directory.EnumerateFiles(Path.Combine(Root, "src"), "*.csproj", SearchOption.AllDirectories).Select(Project.Read)];

    /// <summary>C# sources below a folder, build output left out.</summary>
    public static IEnumerable<string> Sources(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories)
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal) && !path.Contains("/bin/", StringComparison.Ordinal));

    /// <summary>A path as the repository writes it.</summary>
    public static string Relative(string path) => Path.GetRelativePath(Root, path);

    internal sealed record Project(string Name, string Group, string Path, IReadOnlyList<string> References, bool AllowsUnsafe)
    {
        public static Project Read(string path)
        {
            XDocument document = XDocument.Load(path);
            string[] parts = Relative(path).Split('/');
            return new Project(
                System.IO.Path.GetFileNameWithoutExtension(path),
                parts[1],
                path,
                [.. document.Descendants("ProjectReference").Select(e => System.IO.Path.GetFileNameWithoutExtension((string)e.Attribute("Include")!))],
                document.Descendants("AllowUnsafeBlocks").Any(e => e.Value == "true"));
        }
    }
}
