using Shinano.Control.Configuration.Scheduling;

namespace Shinano.Control.Configuration.Tests;

public sealed class ConfigurationReaderTests
{
    private const string Minimal = "name = \"a\"\nkernel = \"/k\"\n";

    [Fact]
    public void A_classic_file_is_read()
    {
        DomainConfiguration c = Good("""
            # Debian
            name    = 'debian-1'   # trailing comment
            memory  = 0x100; maxmem = 512
            vcpus   = 2
            maxvcpus = 4
            kernel  = "/boot/vmlinuz"
            ramdisk = "/boot/initrd.img"
            root    = "/dev/xvda1 ro"
            extra   = "console=hvc0 \
            quiet"
            on_crash = 'coredump-restart'
            on_reboot = "preserve"
            uuid = "0f9b0a4e-5d0b-4f57-9a0a-2f6d6a1d7c11"
            cpu_engine = "translator"
            code_cache = 128
            """.Replace("\\\nquiet", "quiet", StringComparison.Ordinal));

        Assert.Equal("debian-1", c.Name);
        Assert.Equal(256, c.MemoryMebibytes);
        Assert.Equal(512, c.MaxMemoryMebibytes);
        Assert.Equal((2, 4), (c.Vcpus, c.MaxVcpus));
        Assert.Equal("/boot/initrd.img", c.Ramdisk);
        Assert.Equal("root=/dev/xvda1 ro console=hvc0 quiet", c.CommandLine);
        Assert.Equal(LifecycleAction.CoredumpRestart, c.OnCrash);
        Assert.Equal(LifecycleAction.Preserve, c.OnReboot);
        Assert.Equal(LifecycleAction.Destroy, c.OnPoweroff);
        Assert.Equal(Guid.Parse("0f9b0a4e-5d0b-4f57-9a0a-2f6d6a1d7c11"), c.Uuid);
        Assert.Equal("translator", c.CpuEngine);
        Assert.Equal(128, c.CodeCacheMebibytes);
    }

    [Fact]
    public void Shares_of_the_hosts_cpus_are_read()
    {
        DomainConfiguration c = Good(Minimal + "vcpus = 3; cpu_weight = 512; cap = 250; cpus = '0-3,^1,5'");
        Assert.Equal((512, 250), (c.CpuWeight, c.CpuCapPercent));
        Assert.Equal(Enumerable.Repeat<int[]>([0, 2, 3, 5], 3), c.VcpuAffinity);
        Assert.Equal([[2], []], Good(Minimal + "vcpus = 3; cpus = ['2', 'all']").VcpuAffinity);
        Assert.Equal([[1]], Good(Minimal + "cpus = 1").VcpuAffinity);
        Assert.Empty(Good(Minimal + "cpus = 'all'").VcpuAffinity);
        Assert.Equal((256, 0), (Good(Minimal).CpuWeight, Good(Minimal).CpuCapPercent));
        Assert.Equal(75, Good(Minimal + "cpu_cap = '75'").CpuCapPercent);
    }

    [Fact]
    public void The_mask_of_xm_says_how_many_vcpus_start()
    {
        DomainConfiguration c = Good(Minimal + "vcpus = 4; vcpu_avail = 3");
        Assert.Equal((2, 4), (c.Vcpus, c.MaxVcpus));
    }

    [Theory]
    [InlineData("0", "0")]
    [InlineData("0,1,2,7", "0-2,7")]
    [InlineData("3-5,1", "1,3-5")]
    [InlineData("all", "all")]
    public void Lists_of_cpus_are_written_short(string text, string expected) => Assert.Equal(expected, CpuList.Format(CpuList.TryParse(text)!));

    [Theory]
    [InlineData("")]
    [InlineData("a")]
    [InlineData("-1")]
    [InlineData("1-")]
    [InlineData("0,,1")]
    [InlineData("all,^1")]
    [InlineData("0-99999999999")]
    public void What_is_no_list_of_cpus_is_none(string text) => Assert.Null(CpuList.TryParse(text));

    [Fact]
    public void Defaults_are_those_of_xl()
    {
        DomainConfiguration c = Good(Minimal);
        Assert.Equal((128, 128, 1, 1), (c.MemoryMebibytes, c.MaxMemoryMebibytes, c.Vcpus, c.MaxVcpus));
        Assert.Equal(LifecycleAction.Restart, c.OnReboot);
        Assert.Equal("", c.CommandLine);
        Assert.Null(c.Uuid);
        Assert.Null(c.CodeCacheMebibytes);
    }

    [Theory]
    [InlineData("memory = 256 maxmem = 4", "f:3:14: error: syntax error: unexpected 'm', expected the end of the line")]
    [InlineData("memory = ", "f:3:10: error: syntax error: unexpected end of the text, expected")]
    [InlineData("memory 256", "f:3:8: error: syntax error: unexpected '2', expected '='")]
    [InlineData("extra = \"a\nb\"", "f:3:11: error: syntax error: unexpected end of line, expected a closing \"")]
    [InlineData("disk = [ 'a', 'b'\nvif = []", "f:4:1: error: syntax error: unexpected 'v', expected ',' or ']'")]
    [InlineData("memory = 12abc", "f:3:15: error: syntax error: not a number (decimal, or hexadecimal with 0x) of 64 bits")]
    [InlineData("memory = 99999999999999999999", "f:3:30: error: syntax error: not a number")]
    [InlineData("extra = \"\\q\"", "f:3:11: error: syntax error: unexpected 'q', expected an escape")]
    [InlineData("import os", "f:3:8: error: syntax error: unexpected 'o', expected '=' (a configuration is data")]
    [InlineData("= 3", "f:3:1: error: syntax error: unexpected '='")]
    public void A_syntax_error_names_its_place(string line, string expected)
    {
        ConfigurationResult result = Read(Minimal + line);
        Assert.Null(result.Configuration);
        Assert.StartsWith(expected, Assert.Single(result.Diagnostics).ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("memory = \"lots\"", "f:3:1: error: memory=\"lots\" is not a number")]
    [InlineData("memory = [1]", "f:3:1: error: memory must be a number, not a list")]
    [InlineData("memory = 0", "f:3:1: error: memory=0 is out of range: 1 to 16777216")]
    [InlineData("memory = -5", "f:3:1: error: memory=-5 is out of range: 1 to 16777216")]
    [InlineData("vcpus = 33", "f:3:1: error: vcpus=33 is out of range: 1 to 32")]
    [InlineData("vcpus=4; maxvcpus=2", "f:3:10: error: maxvcpus=2 is below vcpus=4")]
    [InlineData("cpu_weight = 0", "f:3:1: error: cpu_weight=0 is out of range: 1 to 65535")]
    [InlineData("cap = 101", "f:3:1: error: cap=101 is out of range: 0 to 100")]
    [InlineData("vcpus = 2; cpu_cap = 201", "f:3:12: error: cpu_cap=201 is out of range: 0 to 200")]
    [InlineData("cpus = '3-1'", "f:3:8: error: cpus must be a list of CPUs")]
    [InlineData("cpus = '0,^0'", "f:3:8: error: cpus must be a list of CPUs")]
    [InlineData("cpus = ['0', '1024']; vcpus = 2", "f:3:14: error: cpus must be a list of CPUs")]
    [InlineData("vcpus = 4; vcpu_avail = 0x5", "f:3:12: error: vcpu_avail=0x5 must be the bits of the first vCPUs")]
    [InlineData("vcpus = 2; vcpu_avail = 7", "f:3:12: error: vcpu_avail=0x7 must be the bits of the first vCPUs, of 2 at most")]
    [InlineData("memory=64; maxmem=32", "f:3:12: error: maxmem=32 is below memory=64")]
    [InlineData("ramdisk = 7", "f:3:1: error: ramdisk must be a string in quotes, not a number")]
    [InlineData("uuid = \"1234\"", "f:3:1: error: uuid=\"1234\" is not a uuid (8-4-4-4-12 hexadecimal digits)")]
    [InlineData("on_crash = \"explode\"", "f:3:1: error: on_crash=\"explode\" is not one of destroy, restart, rename-restart, preserve,")]
    [InlineData("builder = \"hvm\"", "f:3:1: error: builder=\"hvm\" is not supported yet")]
    [InlineData("type = \"pvh\"", "f:3:1: error: type=\"pvh\" is not supported yet")]
    [InlineData("code_cache = 15", "f:3:1: error: code_cache=15 is out of range: 16 to 1024")]
    [InlineData("code_cache = 1025", "f:3:1: error: code_cache=1025 is out of range: 16 to 1024")]
    [InlineData("code_cache = \"64M\"", "f:3:1: error: code_cache=\"64M\" is not a number")]
    [InlineData("code_cache = [64]", "f:3:1: error: code_cache must be a number, not a list")]
    [InlineData("cpu_engine = \"warp\"", "f:3:1: error: cpu_engine=\"warp\" is not one of interpreter, translator, kvm")]
    public void A_wrong_type_or_range_is_named(string line, string expected)
    {
        ConfigurationResult result = Read(Minimal + line);
        Assert.Null(result.Configuration);
        Assert.StartsWith(expected, Assert.Single(result.Diagnostics).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Everything_wrong_is_said_at_once()
    {
        ConfigurationResult result = Read("memory = 0\nvcpus = 0\nname = \"\"\n");
        Assert.Equal(["name", "memory", "vcpus", "kernel"], result.Diagnostics.Select(d => d.Key));
    }

    [Theory]
    [InlineData("mempry = 3", "f:3:1: warning: unknown key 'mempry' is ignored; did you mean 'memory'?")]
    [InlineData("Kernel = 'x'", "f:3:1: warning: unknown key 'Kernel' is ignored; did you mean 'kernel'?")]
    [InlineData("zzzzzzz = 3", "f:3:1: warning: unknown key 'zzzzzzz' is ignored")]
    [InlineData("cpu_engine='interpreter'; code_cache=16", "f:3:27: warning: code_cache does nothing with cpu_engine=\"interpreter\", which translates no code")]
    [InlineData("nics = 3", "f:3:1: warning: 'nics' is obsolete and ignored: one 'vif' entry")]
    [InlineData("cap = 20; cpu_cap = 30", "f:3:11: warning: cap is given, so cpu_cap is ignored")]
    [InlineData("cpus = ['0', '1']", "f:3:1: warning: cpus has 2 entries for 1 vCPUs")]
    [InlineData("pci = ['01:00.0']", "f:3:1: warning: 'pci' is not supported yet: the domain starts without it")]
    public void Odd_keys_warn_and_fail_when_strict(string line, string expected)
    {
        ConfigurationResult lenient = Read(Minimal + line);
        Assert.NotNull(lenient.Configuration);
        Assert.StartsWith(expected, Assert.Single(lenient.Diagnostics).ToString(), StringComparison.Ordinal);

        ConfigurationResult strict = ConfigurationReader.Read(new ConfigurationText("f", Minimal + line, []), strict: true);
        Assert.Null(strict.Configuration);
        Assert.Equal(DiagnosticSeverity.Error, Assert.Single(strict.Diagnostics).Severity);
    }

    [Fact]
    public void Devices_that_are_not_used_are_not_talked_about()
    {
        ConfigurationResult result = Read(Minimal + "disk = []\nvif = [ ]\nsdl = 0\nvnc=0\nbootloader = ''\n");
        Assert.NotNull(result.Configuration);
        Assert.Empty(result.Diagnostics);
    }

    [Fact]
    public void Used_devices_are_kept()
    {
        ConfigurationResult result = Read(Minimal + "pci = [ '01:00.0',\n  [ 1, 2 ], # two\n ]\nvtpm += ['a']");
        Assert.Equal("[01:00.0, [1, 2]]", result.Configuration!.Kept["pci"]);
        Assert.Equal("[a]", result.Configuration.Kept["vtpm"]);
    }

    [Fact]
    public void Arguments_override_and_need_no_quotes()
    {
        DomainConfiguration c = Good(
            Minimal, "name=b", "memory=0x40", "extra=root=/dev/sda1 quiet", "extra+= more", "kernel=\"/a\\x62\"", "vcpus='2'");
        Assert.Equal("b", c.Name);
        Assert.Equal(64, c.MemoryMebibytes);
        Assert.Equal("root=/dev/sda1 quiet more", c.CommandLine);
        Assert.Equal("/ab", c.Kernel);
        Assert.Equal(2, c.Vcpus);
    }

    [Theory]
    [InlineData("memory", "<command line>: error: 'memory' is not of the form key=value")]
    [InlineData("memory=abc", "<command line>: error: memory=\"abc\" is not a number")]
    [InlineData("extra='abc", "<command line>: error: in 'extra='abc': syntax error: unexpected end of the text")]
    [InlineData("2=3", "<command line>: error: '2=3' is not of the form key=value")]
    public void A_bad_argument_is_named(string argument, string expected)
    {
        ConfigurationResult result = ConfigurationReader.Read(new ConfigurationText("f", Minimal, [argument]), strict: false);
        Assert.StartsWith(expected, Assert.Single(result.Diagnostics).ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Domain-0")]
    [InlineData("17")]
    [InlineData("a/b")]
    [InlineData("../x")]
    [InlineData("a b")]
    public void Names_that_would_confuse_are_refused(string name) => Assert.NotNull(DomainName.Check(name));

    [Fact]
    public void A_key_set_twice_warns_and_the_last_counts()
    {
        ConfigurationResult result = Read(Minimal + "memory = 64\nmemory = 96");
        Assert.Equal(96, result.Configuration!.MemoryMebibytes);
        Assert.Equal("f:4:1: warning: 'memory' was set before, at f:3:1; this one counts", Assert.Single(result.Diagnostics).ToString());
    }

    [Fact]
    public void Too_long_a_command_line_is_an_error() =>
        Assert.Contains("1023 fit", Assert.Single(Read(Minimal + $"extra = '{new string('x', 1024)}'").Diagnostics).Message, StringComparison.Ordinal);

    private static DomainConfiguration Good(string text, params string[] overrides)
    {
        ConfigurationResult result = ConfigurationReader.Read(new ConfigurationText("f", text, overrides), strict: true);
        Assert.Empty(result.Diagnostics);
        return result.Configuration!;
    }

    private static ConfigurationResult Read(string text) => ConfigurationReader.Read(new ConfigurationText("f", text, []), strict: false);
}
