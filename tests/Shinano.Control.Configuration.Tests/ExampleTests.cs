using Shinano.Repository;

namespace Shinano.Control.Configuration.Tests;

/// <summary>The configurations of examples/, which people copy.</summary>
public sealed class ExampleTests
{
    public static TheoryData<string> Files => [.. Directory.GetFiles(Path.Combine(RepositoryRoot.Path, "examples"), "*.cfg").Select(path => Path.GetFileName(path)!)];

    [Theory]
    [MemberData(nameof(Files))]
    public void An_example_is_taken_without_a_warning(string file)
    {
        string text = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "examples", file));
        ConfigurationResult result = ConfigurationReader.Read(new ConfigurationText(file, text, []), strict: true);
        Assert.Empty(result.Diagnostics);
        Assert.Equal(Path.GetFileNameWithoutExtension(file), result.Configuration!.Name);
        Assert.StartsWith("# ", text, StringComparison.Ordinal);
    }
}
