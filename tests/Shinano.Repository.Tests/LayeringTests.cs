namespace Shinano.Repository.Tests;

/// <summary>The direction of dependencies, as docs/design/layers.md draws it: what may refer to what, by folder of src.</summary>
public sealed class LayeringTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Abi"] = ["Abi"],
        ["Host"] = ["Abi", "Host"],
        ["Cpu"] = ["Abi", "Host", "Cpu"],
        ["Hypervisor"] = ["Abi", "Host", "Cpu", "Hypervisor"],
        ["XenStore"] = ["Abi", "Host", "XenStore"],
        ["Storage"] = ["Abi", "Host", "Storage"],
        ["Network"] = ["Abi", "Host", "Network"],
        ["Devices"] = ["Abi", "Host", "XenStore", "Storage", "Network", "Devices"],
        ["Control"] = ["Abi", "Host", "XenStore", "Storage", "Network", "Control"],
        ["Machine"] = ["Abi", "Host", "Cpu", "Hypervisor", "XenStore", "Storage", "Network", "Devices", "Control"],
        ["Cli"] = ["Abi", "Host", "XenStore", "Storage", "Network", "Control"],
    };

    /// <summary>Where unsafe code is allowed: the host projects, the engines, and the hypervisor's view of an engine's register block.</summary>
    private static readonly string[] UnsafeProjects =
    [
        "Shinano.Linux", "Shinano.Memory", "Shinano.Cpu", "Shinano.Cpu.HostCode", "Shinano.Cpu.Interpreter", "Shinano.Cpu.Translator", "Shinano.Hypervisor",
    ];

    public static TheoryData<string> ProjectNames => [.. RepositoryTree.Projects.Select(p => p.Name)];

    [Theory]
    [MemberData(nameof(ProjectNames))]
    public void Refers_only_to_layers_below(string name)
    {
        RepositoryTree.Project project = Find(name);
        foreach (string reference in project.References)
        {
            Assert.Contains(Find(reference).Group, Allowed[project.Group]);
        }
    }

    [Fact]
    public void Only_the_machine_picks_an_engine()
    {
        foreach (RepositoryTree.Project project in RepositoryTree.Projects.Where(p => p.Group is not ("Cpu" or "Machine")))
        {
            Assert.DoesNotContain(project.References, r => r.StartsWith("Shinano.Cpu.", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void The_command_line_is_a_client_of_the_daemon()
    {
        foreach (RepositoryTree.Project project in RepositoryTree.Projects.Where(p => p.Group == "Cli"))
        {
            Assert.DoesNotContain("Shinano.Control.Daemon", project.References);
            Assert.DoesNotContain("Shinano.XenStore.Server", project.References);
        }
    }

    [Fact]
    public void Unsafe_code_is_allowed_in_the_named_projects_only()
    {
        string[] found = [.. RepositoryTree.Projects.Where(p => p.AllowsUnsafe).Select(p => p.Name)];
        Assert.Empty(found.Except(UnsafeProjects));
    }

    [Fact]
    public void System_calls_are_declared_in_one_project()
    {
        foreach (string path in RepositoryTree.Sources("src"))
        {
            string relative = RepositoryTree.Relative(path);
            if (!relative.StartsWith("src/Host/Shinano.Linux/", StringComparison.Ordinal))
            {
                string text = File.ReadAllText(path);
                Assert.False(text.Contains("[LibraryImport", StringComparison.Ordinal), relative);
                Assert.False(text.Contains("[DllImport", StringComparison.Ordinal), relative);
            }
        }
    }

    private static RepositoryTree.Project Find(string name) => RepositoryTree.Projects.Single(p => p.Name == name);
}
